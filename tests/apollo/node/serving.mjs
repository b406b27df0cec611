// What the servers share: the schema they are told to serve, and how the test learns of them.
import { readFileSync } from 'node:fs';
import http from 'node:http';

/** The schema of the file that is the first argument. */
export const schema = () => readFileSync(process.argv[2], 'utf8');

const seen = [];

/** Remembers a request; the test asks for all of them. */
export function remember(request, body) {
  const { method, url, headers } = request;
  seen.push({ method, url, headers, body });
}

/** Starts a server on a free port of the loopback. */
export function listen(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
  });
}

/**
 * Tells the test, by one line on standard output, the port of the server and that of its journal,
 * which answers with all requests that were remembered.
 */
export async function announce(port) {
  const journal = http.createServer((_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(seen));
  });
  console.log(JSON.stringify({ port, journal: await listen(journal) }));
}

// Ends with the test, however that ends.
process.stdin.resume().on('end', () => process.exit(0));

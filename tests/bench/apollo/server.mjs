// An Apollo Server with the benchmark's schema. With a strategy its resolvers mask: each of the
// marked fields has the default resolver, wrapped.
//
//     node server.mjs SCHEMA LOADS [redact|hash]
//
// LOADS is a folder of bodies; a request names one in `x-load`. The port is printed.

import { createHmac } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { defaultFieldResolver } from 'graphql';

const [schema, folder, strategy] = process.argv.slice(2);

const key = Buffer.alloc(32);
const strategies = {
  redact: () => '[REDACTED]',
  hash: (value) => {
    const mac = createHmac('sha256', key).update(value).digest();
    return `h:k1:${mac.subarray(0, 16).toString('base64url')}`;
  },
};

function masked(mask) {
  return (parent, args, context, info) => {
    const value = defaultFieldResolver(parent, args, context, info);
    return value === null || value === undefined ? value : mask(value);
  };
}

const loads = new Map(
  readdirSync(folder).map((file) => [
    file.replace(/\.json$/, ''),
    JSON.parse(readFileSync(join(folder, file), 'utf8')).data,
  ]),
);

const resolvers = {
  Query: {
    people: (_parent, _args, { load }) => load.people,
    places: (_parent, _args, { load }) => load.places,
  },
};
if (strategy) {
  const mask = masked(strategies[strategy]);
  resolvers.Person = { email: mask, phone: mask };
}

const server = new ApolloServer({
  typeDefs: readFileSync(schema, 'utf8'),
  resolvers,
  introspection: false,
});
const { url } = await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: 0 },
  context: async ({ req }) => ({ load: loads.get(req.headers['x-load']) }),
});
console.log(new URL(url).port);

// Ends with the benchmark, however that ends.
process.stdin.on('end', () => process.exit(0)).resume();

// The GraphQL-over-HTTP audit of two servers, as JSON: {"direct": {id: verdict}, "gateway": …}.
//
//     node audit.mjs DIRECT_URL GATEWAY_URL < TOKEN
import { readFileSync } from 'node:fs';
import { serverAudits } from 'graphql-http';

const [direct, gateway] = process.argv.slice(2);
const token = readFileSync(0, 'utf8').trim();

/** Verdicts by audit id; each with what the audit is called and, unless all is well, why. */
async function audit(url, authorization) {
  const fetchFn = (input, init = {}) => {
    const headers = new Headers(init.headers);
    if (authorization) headers.set('authorization', authorization);
    return fetch(input, { ...init, headers });
  };
  const verdicts = {};
  for (const one of serverAudits({ url, fetchFn })) {
    const { status, reason, response } = await one.fn();
    verdicts[one.id] = { name: one.name, status, reason, http: response?.status };
  }
  return verdicts;
}

console.log(
  JSON.stringify({ direct: await audit(direct), gateway: await audit(gateway, `Bearer ${token}`) }),
);

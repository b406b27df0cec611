// Apollo Server with all that is off by default and that clients use: batches, GET, persisted queries.
//
//     node server.mjs SCHEMA.graphql [--open-to-forms]
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';

import { resolvers } from './resolvers.mjs';
import { announce, remember, schema } from './serving.mjs';

const server = new ApolloServer({
  typeDefs: schema(),
  resolvers,
  allowBatchedHttpRequests: true,
  introspection: true,
  // The default: GET requests need a header that no HTML form can send. The audit sends none.
  csrfPrevention: !process.argv.includes('--open-to-forms'),
  // The worst that a server can do: its stack in every error.
  includeStacktraceInErrorResponses: true,
});
const { url } = await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: 0 },
  context: async ({ req }) => remember(req, req.body),
});
await announce(Number(new URL(url).port));

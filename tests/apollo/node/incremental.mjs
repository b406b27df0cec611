// Apollo Server on the alpha of graphql 17 that it supports: @defer in both formats.
//
//     node incremental.mjs SCHEMA.graphql
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { legacyExecuteIncrementally } from '@yaacovcr/transform';

import { resolvers } from './resolvers.mjs';
import { announce, remember, schema } from './serving.mjs';

// The schema has to have them, or the server does not know them.
const directives = `
  directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
  directive @stream(if: Boolean! = true, label: String, initialCount: Int! = 0) on FIELD
`;
const server = new ApolloServer({
  typeDefs: [schema(), directives],
  resolvers,
  legacyExperimentalExecuteIncrementally: legacyExecuteIncrementally,
});
const { url } = await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: 0 },
  context: async ({ req }) => remember(req, req.body),
});
await announce(Number(new URL(url).port));

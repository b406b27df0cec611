// GraphQL Yoga: @defer and @stream as multipart, subscriptions as server-sent events, batches.
//
//     node yoga.mjs SCHEMA.graphql
import http from 'node:http';

import { useDeferStream } from '@graphql-yoga/plugin-defer-stream';
import { createSchema, createYoga } from 'graphql-yoga';

import { extensions, resolvers } from './resolvers.mjs';
import { announce, listen, remember, schema } from './serving.mjs';

const yoga = createYoga({
  schema: createSchema({ typeDefs: schema(), resolvers: [resolvers, extensions] }),
  plugins: [useDeferStream()],
  batching: true,
  // Errors as the resolvers threw them.
  maskedErrors: false,
  graphiql: false,
  landingPage: false,
  logging: false,
});
const server = http.createServer((request, response) => {
  remember(request);
  yoga(request, response);
});
await announce(await listen(server));

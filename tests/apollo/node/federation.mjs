// Apollo Gateway over two subgraphs, each an Apollo Server of its own: assets, and the people who own
// them. Together they serve a part of the repository's schema.
//
//     node federation.mjs
import { ApolloGateway, IntrospectAndCompose } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginInlineTraceDisabled } from '@apollo/server/plugin/disabled';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';

import { indiscreet, person, resolvers } from './resolvers.mjs';
import { announce, remember } from './serving.mjs';

const { Query, Asset, Person } = resolvers;
const link = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
  scalar DateTime
`;

const assets = buildSubgraphSchema({
  typeDefs: parse(`${link}
    type Query {
      asset(id: ID!): Asset
    }
    type Asset @key(fields: "id") {
      id: ID!
      name: String!
      email: String
      createdAt: DateTime!
      location: Location
      owner: Person
      custodians: [Person!]!
    }
    type Location {
      city: String!
      latitude: Float
      longitude: Float
    }
    type Person @key(fields: "id", resolvable: false) {
      id: ID!
    }
  `),
  resolvers: {
    Query: { asset: Query.asset },
    Asset: { owner: Asset.owner, custodians: Asset.custodians },
  },
});

const people = buildSubgraphSchema({
  typeDefs: parse(`${link}
    type Query {
      viewer: Person!
      people: [Person!]!
      person(id: ID!): Person
    }
    type Person @key(fields: "id") {
      id: ID!
      name: String!
      email: String
      phone: String
      salary: Int
      nationalId: String
      birthDate: DateTime
      manager: Person
    }
  `),
  resolvers: {
    Query: { viewer: Query.viewer, people: Query.people, person: Query.person },
    Person: {
      __resolveReference({ id }) {
        // A custodian whom the people's subgraph can't tell without telling too much.
        if (id === 'p3') throw indiscreet('NOT_FOUND');
        return person(id);
      },
      manager: Person.manager,
    },
  },
});

async function start(server, context) {
  const { url } = await startStandaloneServer(server, {
    listen: { host: '127.0.0.1', port: 0 },
    context,
  });
  return url;
}

const subgraphs = [];
for (const [name, schema] of Object.entries({ assets, people })) {
  const server = new ApolloServer({
    schema,
    includeStacktraceInErrorResponses: true,
    plugins: [ApolloServerPluginInlineTraceDisabled()],
  });
  subgraphs.push({ name, url: await start(server) });
}
const gateway = new ApolloGateway({
  supergraphSdl: new IntrospectAndCompose({ subgraphs }),
  logger: { debug() {}, info() {}, warn: console.warn, error: console.error },
});
const server = new ApolloServer({
  gateway,
  introspection: true,
  includeStacktraceInErrorResponses: true,
});
const url = await start(server, async ({ req }) => remember(req, req.body));
await announce(Number(new URL(url).port));

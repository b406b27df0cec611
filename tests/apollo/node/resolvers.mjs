// The data as a graph. Depends on no GraphQL library, so that any version of one can serve it.
import { readFileSync } from 'node:fs';

/** The fixed data; every masked field holds a value that stands nowhere else. */
export const data = JSON.parse(readFileSync(new URL('data.json', import.meta.url), 'utf8'));

export const person = (id) => data.people.find((one) => one.id === id) ?? null;
export const vendor = (id) => data.vendors.find((one) => one.id === id) ?? null;
export const asset = (id) => data.assets.find((one) => one.id === id) ?? null;

/** An error that tells what it must not: all of a person, in message and extensions. */
export function indiscreet(code) {
  const about = JSON.stringify(data.people[0]);
  const error = new Error(`cannot serve ${about}`);
  error.extensions = { code, about: data.people[0] };
  return error;
}

function page(all, { first, after }) {
  const from = after == null ? 0 : all.findIndex((one) => one.id === after) + 1;
  const nodes = all.slice(from, first == null ? undefined : from + first);
  return {
    nodes,
    edges: nodes.map((node) => ({ cursor: node.id, node })),
    totalCount: all.length,
    pageInfo: {
      hasNextPage: from + nodes.length < all.length,
      hasPreviousPage: from > 0,
      startCursor: nodes.at(0)?.id ?? null,
      endCursor: nodes.at(-1)?.id ?? null,
    },
  };
}

function fits(one, filter) {
  const { status, tag, nameContains, minValue } = filter ?? {};
  return (
    (status == null || one.status === status) &&
    (tag == null || one.tags.includes(tag)) &&
    (nameContains == null || one.name.includes(nameContains)) &&
    (minValue == null || (one.value ?? 0) >= minValue)
  );
}

const everything = [...data.assets, ...data.people, ...data.vendors];
const later = (value, ms) => new Promise((resolve) => setTimeout(resolve, ms, value));

function typeName(value) {
  if ('custodianIds' in value) return 'Asset';
  return 'managerId' in value ? 'Person' : 'Vendor';
}

export const resolvers = {
  Query: {
    viewer: () => person(data.viewer),
    asset: (_, { id }) => {
      if (id === 'broken') throw indiscreet('NOT_FOUND');
      return asset(id);
    },
    assets: (_, { filter, ...args }) => page(data.assets.filter((one) => fits(one, filter)), args),
    person: (_, { id }) => {
      if (id === 'broken') throw indiscreet('MADE_UP_BY_THE_UPSTREAM');
      return person(id);
    },
    people: () => data.people,
    vendors: () => data.vendors,
    contacts: () => [...data.people, ...data.vendors],
    node: (_, { id }) => everything.find((one) => one.id === id) ?? null,
    search: (_, { text }) => everything.filter((one) => one.name.includes(text)),
    exportAssets: (_, { format }) => ({
      format,
      generatedAt: '2024-01-02T03:04:05Z',
      rows: data.assets,
      body: data.export,
    }),
  },
  Mutation: {
    renameAsset: (_, { id, name }) => ({ ...asset(id), name }),
    setOwner: (_, { assetId, personId }) => ({ ...asset(assetId), ownerId: personId }),
  },
  Node: { __resolveType: typeName },
  Contact: { __resolveType: typeName },
  SearchResult: { __resolveType: typeName },
  Asset: {
    owner: (one) => person(one.ownerId),
    custodians: (one) => one.custodianIds.map(person),
    vendor: (one) => vendor(one.vendorId),
  },
  Person: {
    // Slow enough to be deferred.
    manager: (one) => later(person(one.managerId), 20),
    assets: (one, args) => page(data.assets.filter((of) => of.ownerId === one.id), args),
  },
  Vendor: { account: (one) => person(one.accountId) },
};

/** What `extensions.graphql` adds. */
export const extensions = {
  Query: {
    peopleWhere: (_, { filter }) =>
      data.people.filter((one) => Object.keys(filter).every((key) => one[key] === filter[key])),
  },
  Subscription: {
    personChanged: {
      async *subscribe() {
        for (const one of data.people) yield await later({ personChanged: one }, 20);
      },
    },
  },
};

// Fastify, mercurius and graphql-jit: `node mercurius.mjs`, with PORT, DATABASE_URL and FORM (plain or single).
import Fastify from "fastify";
import { GraphQLScalarType } from "graphql";
import mercurius from "mercurius";
import { database } from "./tenancy.mjs";

const SCHEMA = `
  scalar DateTime
  enum ContactStatus { SUBSCRIBED PENDING UNSUBSCRIBED BOUNCED COMPLAINED }
  enum CampaignStatus { DRAFT SCHEDULED PREPARING SENDING PAUSED SENT SENT_WITH_ISSUES CANCELLING CANCELLED FAILED }
  type Contact {
    id: ID!, email: String!, firstName: String, lastName: String, status: ContactStatus!
    createdAt: DateTime!, subscribedAt: DateTime
  }
  type ContactEdge { cursor: String!, node: Contact! }
  type PageInfo { hasNextPage: Boolean!, hasPreviousPage: Boolean!, startCursor: String, endCursor: String }
  type ContactConnection { edges: [ContactEdge!]!, pageInfo: PageInfo! }
  type CampaignStats { audience: Int!, opened: Int!, clicked: Int! }
  type Campaign { id: ID!, name: String!, status: CampaignStatus!, stats: CampaignStats! }
  type Query { contacts(first: Int = 25, after: String): ContactConnection!, campaign(id: ID!): Campaign }
`;
const encoded = (text) => Buffer.from(text).toString("base64");
const decoded = (text) => Buffer.from(text, "base64").toString();
const SEVEN = `id, email, first_name AS "firstName", last_name AS "lastName", status, created_at AS "createdAt",
  subscribed_at AS "subscribedAt"`;
// A statement is a function of its first free parameter.
const NEWEST = (n) => `SELECT ${SEVEN} FROM contacts ORDER BY created_at DESC, id DESC LIMIT $${n}::int`;
const OLDER = (n) => `SELECT ${SEVEN} FROM contacts
  WHERE (created_at, id) < (SELECT created_at, id FROM contacts WHERE id = $${n + 1}::uuid)
  ORDER BY created_at DESC, id DESC LIMIT $${n}::int`;
const CAMPAIGN = (n) => `SELECT c.id, c.name, c.status, s.audience, s.opened, s.clicked FROM campaigns c
  JOIN campaign_stats s ON s.organization_id = c.organization_id AND s.campaign_id = c.id WHERE c.id = $${n}::uuid`;

const resolvers = {
  DateTime: new GraphQLScalarType({ name: "DateTime", serialize: (value) => value.toISOString() }),
  Query: {
    async contacts(_, { first, after }, { db }) {
      const rows = after
        ? await db.rows("older", OLDER, [first + 1, decoded(after)])
        : await db.rows("newest", NEWEST, [first + 1]);
      const edges = rows.slice(0, first).map((node) => ({ cursor: encoded(node.id), node }));
      return {
        edges,
        pageInfo: {
          hasNextPage: rows.length > first,
          hasPreviousPage: Boolean(after),
          startCursor: edges.at(0)?.cursor,
          endCursor: edges.at(-1)?.cursor,
        },
      };
    },
    async campaign(_, { id }, { db }) {
      const [, uuid] = decoded(id).split(":");
      return (await db.rows("campaign", CAMPAIGN, [uuid]))[0];
    },
  },
  Contact: {
    id: (row) => encoded(`Contact:${row.id}`),
    status: (row) => row.status.toUpperCase(),
  },
  Campaign: {
    id: (row) => encoded(`Campaign:${row.id}`),
    status: (row) => row.status.toUpperCase(),
    stats: (row) => row,
  },
};

const reads = database(process.env.DATABASE_URL, process.env.FORM);
const app = Fastify();
app.register(mercurius, {
  schema: SCHEMA,
  resolvers,
  jit: 1,
  context: (request) => ({ db: reads(request.headers["x-organization"]) }),
});
await app.ready();
if (process.env.FORM !== "single") app.graphql.addHook("onResolution", (_, context) => context.db.end());
await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });

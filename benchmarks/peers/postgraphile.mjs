// PostGraphile 5 with its own preset: `node postgraphile.mjs`, with PORT and DATABASE_URL.
import { createServer } from "node:http";
import { grafserv } from "grafserv/node";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

// PostGraphile requires Node 22; this is the only function that it needs and Node 20 lacks.
Promise.withResolvers ??= function () {
  const deferred = {};
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }));
  return deferred;
};

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString: process.env.DATABASE_URL, schemas: ["public"], poolConfig: { max: 10 } })],
  grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false },
  grafast: {
    explain: false,
    context: ({ node }) => ({ pgSettings: { "app.organization_id": node?.req.headers["x-organization"] } }),
  },
});
const server = createServer();
await instance.createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");

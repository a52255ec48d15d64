// Two ways to read under Row Level Security: a transaction per request, as usually written, or one round trip per read.
// Both trust a header with the organization's id and verify no token, which favors these servers.
import pg from "pg";

const withTenant = (sql) => `SELECT rows.* FROM
  (SELECT set_config('app.organization_id', $1, true) AS organization OFFSET 0) AS tenant,
  LATERAL (SELECT read.* FROM (${sql}) AS read WHERE tenant.organization IS NOT NULL OFFSET 0) AS rows`;

export function database(url, form) {
  const pool = new pg.Pool({ connectionString: url, max: 10, min: 10 });
  return (organization) => (form === "single" ? new Single(pool, organization) : new Transaction(pool, organization));
}

// BEGIN, set_config, the reads, COMMIT: four round trips for one read.
class Transaction {
  constructor(pool, organization) {
    this.pool = pool;
    this.organization = organization;
  }

  async begin() {
    const client = await this.pool.connect();
    await client.query("BEGIN");
    await client.query("SELECT set_config('app.organization_id', $1, true)", [this.organization]);
    return client;
  }

  async rows(_name, sql, values) {
    this.client ??= this.begin();
    return (await (await this.client).query(sql(1), values)).rows;
  }

  async end() {
    if (this.client === undefined) return;
    const client = await this.client;
    await client.query("COMMIT");
    client.release();
  }
}

// The setting and the read in one statement, prepared once for each connection.
class Single {
  constructor(pool, organization) {
    this.pool = pool;
    this.organization = organization;
  }

  async rows(name, sql, values) {
    const result = await this.pool.query({ name, text: withTenant(sql(2)), values: [this.organization, ...values] });
    return result.rows;
  }

  async end() {}
}

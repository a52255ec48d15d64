// Subscriptions in Node: `node graphql-ws.mjs`, with PORT and FORM: `library` for graphql-ws on ws, `once` for ws alone,
// each event serialized once. An event is sent to POST /publish, and forwarded to every subscriber of the one topic.
import { createServer } from "node:http";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

const schema = buildSchema(`
  enum CampaignStatus { DRAFT SCHEDULED PREPARING SENDING PAUSED SENT SENT_WITH_ISSUES CANCELLING CANCELLED FAILED }
  type CampaignProgress {
    campaignId: ID!, sequence: Int!, status: CampaignStatus!, statusReason: String, audience: Int!, pending: Int!
    inFlight: Int!, accepted: Int!, delivered: Int!, bounced: Int!, failed: Int!, percent: Float!
    ratePerSecond: Float!, estimatedSecondsLeft: Int, occurredAt: String!
  }
  type Query { ok: Boolean }
  type Subscription { campaignProgress(campaignId: ID!): CampaignProgress! }
`);
const FIELDS = `campaignId sequence status audience pending inFlight accepted delivered bounced failed percent
  ratePerSecond estimatedSecondsLeft occurredAt`.split(/\s+/);

let current;
const listeners = new Set();

// The current state, then each change, for one subscriber.
async function* changes() {
  const waiting = [current];
  let notify = () => {};
  const listener = (event) => (waiting.push(event), notify());
  listeners.add(listener);
  try {
    while (true) {
      while (waiting.length) yield { campaignProgress: waiting.shift() };
      await new Promise((resolve) => (notify = resolve));
    }
  } finally {
    listeners.delete(listener);
  }
}

function publish(event) {
  current = event;
  for (const listener of listeners) listener(event);
}

const http = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    publish(JSON.parse(Buffer.concat(parts)));
    response.end("{}");
  });
});

const message = (event) => {
  const fields = Object.fromEntries(FIELDS.map((name) => [name, event[name]]));
  return JSON.stringify({ id: "1", type: "next", payload: { data: { campaignProgress: fields } } });
};

if (process.env.FORM === "once") {
  const open = new Set();
  const server = new WebSocketServer({ server: http, handleProtocols: () => "graphql-transport-ws" });
  server.on("connection", (socket) => {
    socket.on("message", (data) => {
      const { type } = JSON.parse(data);
      if (type === "connection_init") socket.send('{"type":"connection_ack"}');
      if (type === "subscribe") socket.send(message(current)), open.add(socket);
    });
    socket.on("close", () => open.delete(socket));
  });
  listeners.add((event) => {
    const text = Buffer.from(message(event));
    for (const socket of open) socket.send(text, { binary: false });
  });
} else {
  const roots = { subscription: { campaignProgress: changes } };
  useServer({ schema, roots }, new WebSocketServer({ server: http, path: "/graphql" }));
}
http.listen(Number(process.env.PORT), "127.0.0.1");

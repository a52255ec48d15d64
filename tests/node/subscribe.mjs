// Subscribes with the official graphql-ws client and prints what it received as JSON.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, token] = process.argv.slice(2);
const closings = [];
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${token}` },
  retryAttempts: 0,
  on: { closed: (event) => closings.push(event.code) },
});

const collect = async (query, max = Infinity) => {
  const events = [];
  try {
    for await (const event of client.iterate({ query })) {
      events.push(event.data ?? event.errors);
      if (events.length >= max) break;
    }
  } catch (error) {
    events.push(Array.isArray(error) ? { failed: error[0].extensions.code } : { closed: error.code });
  }
  return events;
};

const results = {
  stream: await collect('subscription { count(to: 4) }'),
  dropped: await collect('subscription { count(to: 1000, pause: 0.01) }', 2),
  query: await collect('{ viewer { role } }'),
  refused: await collect('{ nothing }'),
  together: await Promise.all(
    Array.from({ length: 10 }, () => collect('subscription { count(to: 3, pause: 0.01) }')),
  ),
};
await client.dispose();
console.log(JSON.stringify({ ...results, closings }));

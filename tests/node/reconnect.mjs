// Subscribes with the official client with default options and a token that expires soon; prints the result as JSON.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, ...tokens] = process.argv.slice(2);
const closings = [];
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: () => ({ authorization: `Bearer ${tokens.length > 1 ? tokens.shift() : tokens[0]}` }),
  on: { closed: ({ code, reason }) => closings.push([code, reason]) },
});
const counts = [];
for await (const { data } of client.iterate({ query: 'subscription { count(to: 100000, pause: 0.02) }' })) {
  counts.push(data.count);
  if (closings.length && data.count === 2) break;
}
await client.dispose();
console.log(JSON.stringify({ counts, closings }));

// Runs the script of GraphiQL's page (given on stdin) in an empty browser; prints as JSON what the page shows.
// Arguments: the scripts that did not load, or a close code and a reason that the websocket reports.
import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';

const [what, ...rest] = process.argv.slice(2);
const source = readFileSync(0, 'utf-8').match(/<script nonce="[^"]*">(.*?)<\/script>/s)[1];
const elements = {};
const element = (id) => (elements[id] ??= { textContent: '', hidden: true, firstElementChild: { textContent: 'Loading' } });
const found = { rendered: false, terminated: 0 };
const window = {
  location: { origin: 'http://localhost:8000', pathname: '/graphql' },
  document: { getElementById: element },
  React: { createElement: (_, given) => Object.assign(found, { query: given.defaultQuery, fetcher: given.fetcher }) },
  ReactDOM: { createRoot: () => ({ render: () => (found.rendered = true) }) },
  graphqlWs: { createClient: (options) => Object.assign(found, { options, terminate: () => (found.terminated += 1) }) },
  GraphiQL: { createFetcher: () => () => null },
};
if (what === 'missing') for (const name of rest) delete window[name];
window.window = window;
runInNewContext(source, window);
if (what === 'closed') {
  const event = { code: Number(rest[0]), reason: rest[1] };
  found.options.on.closed(event);
  found.retries = found.options.shouldRetry(event);
}
if (found.fetcher) for (const token of ['a', 'a', 'b']) found.fetcher({}, { headers: { Authorization: token } });
const { rendered, query, retries, terminated } = found;
const { hidden, textContent } = element('notice');
console.log(
  JSON.stringify({ rendered, query, retries, terminated, notice: hidden ? '' : textContent, params: found.options?.connectionParams() }),
);

// Runs the script of GraphiQL's page (from standard input) in an empty browser; prints the state of the page as JSON.
// Arguments: the scripts that did not load, or a close code and a reason that the websocket reports.
import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';

const [mode, ...rest] = process.argv.slice(2);
const source = readFileSync(0, 'utf-8').match(/<script nonce="[^"]*">(.*?)<\/script>/s)[1];
const elements = {};
const element = (id) => (elements[id] ??= { textContent: '', hidden: true, firstElementChild: { textContent: 'Loading' } });
const page = { rendered: false, terminated: 0 };
const window = {
  location: { origin: 'http://localhost:8000', pathname: '/graphql' },
  document: { getElementById: element },
  React: { createElement: (_, props) => Object.assign(page, { query: props.defaultQuery, fetcher: props.fetcher }) },
  ReactDOM: { createRoot: () => ({ render: () => (page.rendered = true) }) },
  graphqlWs: { createClient: (options) => Object.assign(page, { options, terminate: () => (page.terminated += 1) }) },
  GraphiQL: { createFetcher: () => () => null },
};
if (mode === 'missing') for (const name of rest) delete window[name];
window.window = window;
runInNewContext(source, window);
if (mode === 'closed') {
  const event = { code: Number(rest[0]), reason: rest[1] };
  page.options.on.closed(event);
  page.retries = page.options.shouldRetry(event);
}
if (page.fetcher) for (const token of ['a', 'a', 'b']) page.fetcher({}, { headers: { Authorization: token } });
const { rendered, query, retries, terminated } = page;
const { hidden, textContent } = element('notice');
console.log(
  JSON.stringify({ rendered, query, retries, terminated, notice: hidden ? '' : textContent, params: page.options?.connectionParams() }),
);

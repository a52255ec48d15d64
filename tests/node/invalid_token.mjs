// Subscribes with an invalid token through graphql-ws, Apollo and urql, each with its default options.
// Prints as JSON the error that each passes to its caller, and how often its socket was closed.
import { ApolloClient, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, token] = process.argv.slice(2);
const query = 'subscription { count(to: 3) }';
const results = {};

function socketOf(name) {
  results[name] = { closings: [] };
  return createClient({
    url,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    on: { closed: ({ code }) => results[name].closings.push(code) },
  });
}

function record(name, problem) {
  // graphql-ws and urql pass the close event on, Apollo an error whose message has both.
  const event = problem.networkError ?? problem;
  results[name].message = `${event.code} ${event.reason} ${problem.message}`;
}

await new Promise((resolve) => {
  const fail = (problem) => resolve(record('graphql-ws', problem));
  socketOf('graphql-ws').subscribe({ query }, { next() {}, complete: resolve, error: fail });
});
await new Promise((resolve) => {
  const client = new ApolloClient({ cache: new InMemoryCache(), link: new GraphQLWsLink(socketOf('apollo')) });
  const fail = (problem) => resolve(record('apollo', problem));
  client.subscribe({ query: gql(query) }).subscribe({
    next: ({ error }) => error && fail(error),
    error: fail,
  });
});
await new Promise((resolve) => {
  const socket = socketOf('urql');
  const client = new Client({
    url: url.replace(/^ws/, 'http'),
    preferGetMethod: false,
    exchanges: [
      subscriptionExchange({
        forwardSubscription: (operation) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe(operation, sink) }),
        }),
      }),
    ],
  });
  client.subscription(query, {}).subscribe(({ error }) => error && resolve(record('urql', error)));
});
console.log(JSON.stringify(results));

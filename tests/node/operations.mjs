// Executes the operations on its standard input, a JSON array of texts, with Apollo Client and with urql, and prints their data.
import { readFileSync } from 'node:fs';
import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { Client, cacheExchange, fetchExchange } from '@urql/core';

const [uri, token] = process.argv.slice(2);
const operations = JSON.parse(readFileSync(0, 'utf8'));
const headers = { authorization: `Bearer ${token}` };

const apollo = new ApolloClient({ cache: new InMemoryCache(), link: new HttpLink({ uri, headers }) });
const urql = new Client({
  url: uri,
  preferGetMethod: false,
  fetchOptions: { headers },
  exchanges: [cacheExchange, fetchExchange],
});

const results = { apollo: [], urql: [] };
for (const text of operations) {
  const mutates = text.trimStart().startsWith('mutation');
  const ofApollo = await (mutates ? apollo.mutate({ mutation: gql(text) }) : apollo.query({ query: gql(text) }));
  if (ofApollo.error) throw ofApollo.error;
  results.apollo.push(ofApollo.data);
  const ofUrql = await (mutates ? urql.mutation(text, {}) : urql.query(text, {})).toPromise();
  if (ofUrql.error) throw ofUrql.error;
  results.urql.push(ofUrql.data);
}
apollo.stop();
console.log(JSON.stringify(results));

// Generates the types of a folder's operations.graphql into the folder, strictly, for a client that throws where a field has an error.
import { readFileSync, writeFileSync } from 'node:fs';
import { codegen } from '@graphql-codegen/core';
import * as operations from '@graphql-codegen/typescript-operations';
import { buildSchema, parse, validateSchema } from 'graphql';

const [, , sdl, folder] = process.argv;
const schema = parse(readFileSync(sdl, 'utf8'));
const schemaAst = buildSchema(readFileSync(sdl, 'utf8'));
const wrong = validateSchema(schemaAst);
if (wrong.length) throw new Error(wrong.join('\n'));
const text = await codegen({
  schema,
  schemaAst,
  documents: [{ location: 'operations.graphql', document: parse(readFileSync(`${folder}/operations.graphql`, 'utf8')) }],
  filename: 'types.ts',
  config: {
    strictScalars: true,
    scalars: { DateTime: 'string', EmailAddress: 'string', JSON: 'unknown' },
    enumType: 'string-literal',
    nonOptionalTypename: true,
    nullability: { errorHandlingClient: true },
  },
  plugins: [{ operations: {} }],
  pluginMap: { operations },
});
writeFileSync(`${folder}/types.ts`, text);

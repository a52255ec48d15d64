// What a strict client writes against the generated types; it has to compile as it stands.
import type { PageQuery, UpdateMutation, UpdateMutationVariables } from './types.ts';

type Refusal = NonNullable<UpdateMutation['updateCampaign']>['userErrors'][number];

export function advice(error: Refusal): string {
  switch (error.__typename) {
    case 'InvalidStateError':
      return `It is ${error.state ?? 'elsewhere'}, which would have to be ${error.allowed.join(' or ')}.`;
    case 'ConflictError':
      return `Read it again: it is at version ${error.currentVersion ?? 'unknown'}.`;
    case 'QuotaError':
      return `${error.used} of ${error.limit} are used${error.resetsAt ? ` until ${error.resetsAt}` : ''}.`;
    case 'InputError':
      return error.suggestion ?? error.message;
  }
}

// What is left out, and what is null, are both of the type; `undefined` is left out of JSON.
export const clears: UpdateMutationVariables = { input: { campaignId: '1', subject: null } };
export const stays: UpdateMutationVariables = { input: { campaignId: '1', subject: undefined } };

// With `errorHandlingClient` these are not nullable; the viewer is, since there may be no logged-in user.
export const names = (page: PageQuery): string[] => page.campaigns.nodes.map((each) => each.name);
export const counts = (page: PageQuery): number[] => page.campaigns.nodes.map((each) => each.deliveries.totalCount);
export const email = (page: PageQuery): string | undefined => page.viewer?.email;

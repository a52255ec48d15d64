// A page of campaigns, the refusals of a change, and a stream, as a Relay application declares them.
import { graphql } from 'relay-runtime';

export const errors = graphql`
  fragment campaigns_errors on UserError @throwOnFieldError {
    __typename
    code
    field
    message
    suggestion
    ... on InvalidStateError {
      state
      allowed
    }
    ... on ConflictError {
      currentVersion
    }
    ... on QuotaError {
      limit
      used
      resetsAt
    }
  }
`;

export const list = graphql`
  fragment campaigns_list on Query
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" })
  @refetchable(queryName: "campaignsListQuery") {
    campaigns(first: $count, after: $cursor, filter: { archived: false }) @connection(key: "campaigns_campaigns") {
      edges {
        node {
          id
          name
          status
          ...campaigns_row
        }
      }
    }
  }
`;

export const row = graphql`
  fragment campaigns_row on Campaign @throwOnFieldError {
    name
    scheduledAt
    deliveries(first: 1) {
      totalCount
    }
    audience {
      lists {
        name
      }
    }
  }
`;

export const page = graphql`
  query campaignsPageQuery @throwOnFieldError {
    viewer {
      email
    }
    ...campaigns_list
    rateLimit {
      remaining
    }
  }
`;

export const node = graphql`
  query campaignsNodeQuery($id: ID!) {
    node(id: $id) {
      ...campaigns_row @alias
    }
  }
`;

export const update = graphql`
  mutation campaignsUpdateMutation($input: UpdateCampaignInput!) {
    updateCampaign(input: $input) {
      campaign {
        id
        version
      }
      userErrors {
        ...campaigns_errors
      }
    }
  }
`;

export const watch = graphql`
  subscription campaignsWatchSubscription($id: ID!) {
    campaignProgress(campaignId: $id) {
      sequence
      campaign {
        id
        status
      }
    }
  }
`;

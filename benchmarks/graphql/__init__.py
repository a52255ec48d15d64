"""The API's queries compared with other servers on the same database: `python -m benchmarks.graphql`."""

"""The API's queries beside those of other servers on the same database: `python -m benchmarks.graphql`."""

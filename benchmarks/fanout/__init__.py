"""One topic with many subscribers over graphql-transport-ws: `python -m benchmarks.fanout`."""

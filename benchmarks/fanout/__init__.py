"""One topic, many subscribers over graphql-transport-ws, ours beside Node's: `python -m benchmarks.fanout`."""

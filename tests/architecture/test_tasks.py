"""Every task that the product makes is supervised, or named here with the reason why not."""

import ast
from collections import Counter

from tests.architecture.tree import product, source

MAKERS = {"create_task", "ensure_future", "TaskGroup"}
KNOWN = {
    "core/supervision.py": (1, "the supervisors themselves"),
    "packages/cancellation/tasks.py": (1, "a supervised run, waited for by its supervisor"),
    "core/pubsub/backend.py": (4, "a TaskGroup within a supervised run, and its three tasks"),
    "core/pubsub/states.py": (1, "begun again when cancelled"),
    "core/database/pool.py": (1, "closes one connection; its place is given back whatever happens"),
    "services/maya/running.py": (1, "one reply's work, waited for; what lasts is begun again when cancelled"),
    "transport/websocket/monitoring.py": (1, "supervised"),
    "transport/websocket/connection.py": (1, "one operation, whose client is told when it is cancelled by accident"),
    "transport/websocket/fanout.py": (2, "a group, whose run is begun again when cancelled; and its end"),
    "jobs/tasks.py": (1, "one background task, whose work a sweep finds again"),
    "jobs/consumer.py": (2, "arq's worker and the wait for the stop, both waited for by a supervised run"),
    "packages/execution/run.py": (1, "the values of one selection, all waited for or cancelled"),
    "packages/sandbox/webhooks.py": (
        3,
        "two of the sandbox's own, which knows nothing of the product; and what one of them waits for",
    ),
    "packages/local/development.py": (
        5,
        "a TaskGroup: the servers' watch is begun again when cancelled, the greeting is said once",
    ),
    "packages/local/supervisor.py": (4, "keepers are begun again when cancelled; the rest is waited for"),
}


def test_each_task_is_accounted_for() -> None:
    """A new task has to be supervised (`core.supervision`), or to say here why it may end."""
    made: Counter[str] = Counter()
    for path in product():
        for node in ast.walk(ast.parse(source(path))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                made[str(path)] += name in MAKERS
    assert +made == {path: count for path, (count, _) in KNOWN.items()}

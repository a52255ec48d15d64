"""Every task that the product creates is supervised, or listed here with the reason why not."""

import ast
from collections import Counter

from tests.architecture.tree import product, source

MAKERS = {"create_task", "ensure_future", "TaskGroup"}
KNOWN = {
    "core/supervision.py": (1, "the supervisors themselves"),
    "packages/cancellation/tasks.py": (1, "a supervised run, awaited by its supervisor"),
    "core/pubsub/backend.py": (4, "a TaskGroup within a supervised run, and its three tasks"),
    "core/pubsub/states.py": (1, "restarted when cancelled"),
    "core/database/pool.py": (1, "closes one connection; its slot is released in any case"),
    "services/maya/running.py": (1, "one reply's work, awaited; its long-running parts are restarted when cancelled"),
    "transport/websocket/monitoring.py": (1, "supervised"),
    "transport/websocket/connection.py": (
        1,
        "one operation, whose client gets an error if it is cancelled without a request",
    ),
    "transport/websocket/fanout.py": (2, "a group, whose run is restarted when cancelled; and its end"),
    "jobs/tasks.py": (1, "one background task, whose work a sweep finds"),
    "jobs/consumer.py": (2, "arq's worker and the wait for the stop, both awaited by a supervised run"),
    "packages/execution/run.py": (1, "the values of one selection, all awaited or cancelled"),
    "packages/sandbox/webhooks.py": (
        3,
        "two of the sandbox, which is independent of the product, and a task that one of them awaits",
    ),
    "packages/local/development.py": (
        5,
        "a TaskGroup: the watch of the servers is restarted when cancelled, the banner is printed once",
    ),
    "packages/local/supervisor.py": (4, "keepers are restarted when cancelled; the others are awaited"),
}


def test_every_task_is_listed() -> None:
    """A new task must be supervised (`core.supervision`), or listed here with the reason why it may end."""
    created: Counter[str] = Counter()
    for path in product():
        for node in ast.walk(ast.parse(source(path))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                created[str(path)] += name in MAKERS
    assert +created == {path: count for path, (count, _) in KNOWN.items()}

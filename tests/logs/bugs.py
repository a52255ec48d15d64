"""Programs for test_processes: the real commands, with injected bugs whose errors contain all data in reach."""

API = """
import sys
import core.telemetry
import services.contacts.changing as changing
import routes.unsubscribe, routes.webhooks

async def fail(*args, **options):
    local = args, options
    raise RuntimeError(f"{args} {options}")

def fail_synchronously(*args, **options):
    raise KeyError(repr((args, options)))

receive = routes.webhooks.receive
async def receive_or_fail(work, webhooks, payloads):
    for payload in payloads:
        if "bug" in payload:
            await fail(payload)
    await receive(work, webhooks, payloads)

read_link = routes.unsubscribe.read_link
changing.create = fail
routes.webhooks.receive = receive_or_fail
routes.unsubscribe.read_link = lambda *args: fail_synchronously(args) if "bug" in args[1] else read_link(*args)
import cli
cli.main()
"""

WORKER = """
import asyncio
import core.queue, jobs.campaigns, jobs.webhooks

def fail(*args):
    local = args
    raise KeyError(repr(args))

async def never_awaited(*args):
    fail(*args)

core.queue.Job.from_payload = lambda ids: fail(MARKER, ids)
campaigns_to_advance = jobs.campaigns.campaigns_to_advance
async def search_or_fail(*args):
    asyncio.create_task(never_awaited(MARKER))
    asyncio.get_running_loop().call_soon(fail, MARKER)
    return await campaigns_to_advance(*args)
jobs.campaigns.campaigns_to_advance = search_or_fail
async def apply_or_fail(*args):
    fail(MARKER, args)
jobs.webhooks.attribute_events = apply_or_fail
import cli
cli.main()
"""

CRASH = """
import app
def fail(settings):
    local = settings
    raise RuntimeError(MARKER)
app.build = fail
import cli
cli.main()
"""

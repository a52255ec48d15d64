"""The `nudge` command: everything a developer or an operator runs."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import SecretStr

import development
from core import telemetry
from core.configuration import Environment, InvalidSettings, variable
from core.errors import InputErrors, NudgeError, OperatorError
from core.supervision import SupervisedTaskEnded
from development import DEMO_EMAIL, DEMO_PASSWORD
from local.folder import LocalError
from services.accounts import opening
from services.accounts.opening import Owner
from settings import Settings, load, require, unknown_variables

ROOT = Path(__file__).parent

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
schema = typer.Typer(no_args_is_help=True, help="Export and check the GraphQL schema.")
cli.add_typer(schema, name="schema")
organization = typer.Typer(no_args_is_help=True, help="Manage the organizations of this installation.")
cli.add_typer(organization, name="organization")
roles = typer.Typer(no_args_is_help=True, help="Manage the database roles.")
cli.add_typer(roles, name="roles")


def settings() -> Settings:
    """Load the settings, with the defaults of development, and set up logging."""
    loaded = load()
    set_up_logging(loaded)
    for name in unknown_variables():
        telemetry.logger("nudge").warning("unknown setting; see `nudge settings`", variable=name)
    servers = {}
    if loaded.environment is Environment.DEVELOPMENT:
        from local.development import read_servers

        servers = read_servers(loaded.home) or {}
    filled = development.fill_in(loaded, servers)
    set_up_logging(filled)
    return filled


def set_up_logging(configured: Settings) -> None:
    """Set up logging as in the settings, with their secrets redacted."""
    telemetry.configure(configured.log_level, json=configured.production, secrets=configured.secrets)


def reveal(value: SecretStr | None) -> str | None:
    """The text of a secret; None if it is not set."""
    return None if value is None else value.get_secret_value()


@cli.command()
def dev() -> None:
    """Start everything on this machine: PostgreSQL, Valkey, the vendor sandbox, the API and the workers."""
    from local.development import DevelopmentOptions, Urls, run

    loaded = load()
    set_up_logging(loaded)
    if loaded.production:
        raise InvalidSettings("NUDGE_ENVIRONMENT: `nudge dev` is for development; run api and worker in production.")

    async def prepare(urls: Urls) -> None:
        from core import migration

        await migration.upgrade(urls.migrator, reset_advice=development.reset_advice(loaded, urls.migrator))
        filled = development.fill_in(loaded, {"database_url": urls.database, "redis_url": urls.redis})
        await seed_once(filled)

    options = DevelopmentOptions(
        home=loaded.home,
        prepare=prepare,
        api_host=loaded.api.host,
        api_port=loaded.api.port,
        sandbox_port=loaded.sandbox.port,
        worker_processes=loaded.worker.processes,
        database_url=reveal(loaded.database.url),
        migrator_url=reveal(loaded.database.migrator_url),
        redis_url=reveal(loaded.redis.url),
        sign_in=f"{DEMO_EMAIL} with the password {DEMO_PASSWORD}",
    )
    raise typer.Exit(run(options))


@cli.command()
def api() -> None:
    """Serve the GraphQL API, webhooks, and the pages for recipients."""
    import app

    loaded = settings()
    require(loaded)
    app.serve(loaded)


@cli.command()
def worker() -> None:
    """Run background jobs (sending, webhooks, Maya's replies) and the sweeps."""
    import jobs

    loaded = settings()
    require(loaded)
    jobs.run_worker(loaded)


@cli.command()
def migrate() -> None:
    """Migrate the database to this version. Requires NUDGE_DATABASE__MIGRATOR_URL, the owner's role."""
    from core import migration
    from core.servers import operator_errors

    loaded = settings()
    url = reveal(loaded.database.migrator_url)
    if url is None:
        hint = "set it in the environment or in .env" if loaded.production else "start `make dev` first, or set it"
        raise InvalidSettings(f"Missing: {variable('database', 'migrator_url')}. It names the owner's role: {hint}.")
    with operator_errors(variable("database", "migrator_url"), url):
        asyncio.run(migration.upgrade(url, reset_advice=development.reset_advice(loaded, url)))
    typer.echo("The database is up to date.")


@roles.command(name="create")
def create_roles(
    new_passwords: Annotated[
        bool, typer.Option(help="Set new passwords for existing roles if no URL contains one.")
    ] = False,
) -> None:
    """Create or repair the database and its roles with an administrator's URL, and print the URLs to set.

    The administrator's URL is NUDGE_DATABASE__ADMIN_URL, or is asked for. The passwords are those in
    NUDGE_DATABASE__URL and NUDGE_DATABASE__MIGRATOR_URL, if these are set; otherwise they are generated. Each step is
    reported on stderr; stdout has only the lines for the .env file, with the generated passwords.
    """
    from core.servers import operator_errors
    from local import provisioning

    database = load().database
    admin_url = reveal(database.admin_url) or ask_for_admin_url()
    target = provisioning.wanted(app_url=reveal(database.url), migrator_url=reveal(database.migrator_url))
    with operator_errors(variable("database", "admin_url"), admin_url):
        result = asyncio.run(provisioning.run(admin_url, target, renew=new_passwords))
    for line in result.report:
        typer.echo(line, err=True)
    for path, url in result.urls.items():
        typer.echo(f"{variable('database', path)}='{url}'")  # quoted: a shell reads it too


def ask_for_admin_url() -> str:
    """Read the administrator's URL from the terminal, without echo; raises `InvalidSettings` without a terminal."""
    name = variable("database", "admin_url")
    if not sys.stdin.isatty():
        raise InvalidSettings(f"Missing: {name}. It names the administrator's role: set it in the environment.")
    typed = typer.prompt(f"The administrator's URL, not shown ({name})", hide_input=True, err=True)
    url = load(database={"admin_url": typed}).database.admin_url
    return reveal(url) or ""


@cli.command()
def seed() -> None:
    """Create the demo organization, once: 2,000 contacts, a template, a sent campaign and a draft."""
    loaded = settings()
    created = asyncio.run(seed_once(loaded))
    typer.echo(
        f"Created the demo organization; log in as {DEMO_EMAIL}."
        if created
        else "The demo organization already exists."
    )


async def seed_once(loaded: Settings) -> bool:
    """Create the demo organization unless its user exists; returns whether it was created."""
    from runtime import check_servers, running
    from services.seeding import demonstration

    if loaded.production:
        raise InvalidSettings("NUDGE_ENVIRONMENT: the demo organization is not for production.")
    await check_servers(loaded)
    async with running(loaded) as runtime:
        return await demonstration.seed(runtime.work, runtime.admission, email=DEMO_EMAIL, password=DEMO_PASSWORD)


@cli.command()
def demo(
    question: Annotated[str, typer.Option(help="What to ask Maya.")] = "How did my last campaign do?",
) -> None:
    """Send a campaign to the demo contacts, then ask Maya. Requires `nudge dev` in another terminal."""
    from local import demonstration

    loaded = load()
    chosen = {"host", "port"} & loaded.api.model_fields_set
    url = demonstration.api_url(loaded.home, loaded.local_url if chosen else None)
    raise typer.Exit(asyncio.run(demonstration.run(f"{url}/graphql", DEMO_EMAIL, DEMO_PASSWORD, question)))


@cli.command()
def sandbox() -> None:
    """Simulate the vendors, Postmark and OpenRouter, on this machine."""
    import uvicorn

    from sandbox import SandboxConfig, build

    loaded = settings()
    ledger = loaded.home / "sandbox" / "ledger.jsonl"
    ledger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    password, token, key = loaded.postmark.webhook_password, loaded.postmark.server_token, loaded.llm.api_key
    config = SandboxConfig(
        server_token=reveal(token),
        llm_api_key=reveal(key),
        webhook_url=f"http://{loaded.api.host}:{loaded.api.port}/webhooks/postmark",
        webhook_username=loaded.postmark.webhook_username,
        webhook_password=reveal(password),
        ledger_path=ledger,
        pace=loaded.sandbox.pace,
    )
    uvicorn.run(build(config), host="127.0.0.1", port=loaded.sandbox.port, log_config=None, access_log=False)


@cli.command(name="settings")
def show_settings() -> None:
    """Print all settings as a Markdown table, as in the README."""
    from settings import table

    typer.echo(table())


@cli.command()
def permissions(
    markdown: Annotated[bool, typer.Option(help="Print Markdown, as in docs/permissions.md.")] = False,
) -> None:
    """Print the permissions of each role, and the permission that each root field of the API requires."""
    from resolvers.permissions import text

    typer.echo(text(markdown=markdown))


@cli.command()
def erd() -> None:
    """Print entity-relationship diagrams in Mermaid, as in docs/erd.md."""
    from migrations.erd import text

    typer.echo(text())


@cli.command()
def secrets() -> None:
    """Print new secrets for the .env file of a production installation."""
    from core.security import new_secret, new_signing_key

    key = new_signing_key().replace("\n", "\\n")
    typer.echo(f'NUDGE_AUTH__SIGNING_KEY="{key}"')
    for name in ("NUDGE_SECURITY__SECRET_KEY", "NUDGE_POSTMARK__WEBHOOK_PASSWORD", "NUDGE_METRICS__TOKEN"):
        typer.echo(f"{name}={new_secret()}")


@cli.command()
def audit_actions() -> None:
    """Print the audit log actions of each mutation as a Markdown table."""
    from resolvers.audit import table

    typer.echo(table())


@schema.command()
def export() -> None:
    """Write the schema to schema.graphql."""
    from resolvers import sdl

    if not (ROOT / sdl.SCHEMA).exists():
        raise InvalidSettings(f"There is no {sdl.SCHEMA} in {ROOT}: this command needs a checkout of the project.")
    (ROOT / sdl.SCHEMA).write_text(sdl.export())
    typer.echo(f"Wrote {sdl.SCHEMA}.")


@schema.command()
def check() -> None:
    """Fail if schema.graphql is stale, or has a breaking change that docs/adr/breaking-changes.md does not list."""
    from resolvers import sdl

    exit_with(sdl.problems(ROOT, sdl.export()))


@schema.command()
def release() -> None:
    """Store this schema as the released one, with which `nudge schema check` compares. Part of a release."""
    from resolvers import sdl

    exit_with(sdl.release(ROOT, sdl.export()))
    typer.echo(f"Wrote {sdl.RELEASED}.")


@organization.command()
def create(
    name: Annotated[str, typer.Option(help="The organization's name.")],
    email: Annotated[str, typer.Option(help="The owner's e-mail address.")],
    full_name: Annotated[str, typer.Option(help="The owner's name.")],
    user_id: Annotated[
        UUID | None,
        typer.Option(help="With NUDGE_AUTH__ISSUER: the owner's user ID at the issuer, the `sub` of the tokens."),
    ] = None,
) -> None:
    """Create an organization with its owner, even if signing up is disabled.

    Asks for the owner's password on a terminal. Without a terminal, generates one and prints it once.
    """
    loaded = settings()
    require(loaded)
    ask = loaded.auth.issuer is None and sys.stdin.isatty()
    owner = {"organization_name": name, "email": email, "full_name": full_name, "user_id": user_id}
    try:
        generated = asyncio.run(open_organization(loaded, password=ask_password() if ask else None, **owner))
    except NudgeError as error:
        exit_with([error_line(error)])
        return
    except InputErrors as errors:
        exit_with([error_line(error) for error in errors.errors])
        return
    typer.echo(f"Created {name}; its owner is {email}.")
    if generated is not None:
        typer.echo(f"Password of the owner, shown only once: {generated}")


async def open_organization(loaded: Settings, **owner: Any) -> str | None:  # noqa: ANN401 - the fields of `Owner`
    """Create an organization; returns the generated password, if any."""
    from runtime import check_servers, running

    await check_servers(loaded)
    async with running(loaded) as runtime:
        opened = await opening.open_organization(
            runtime.work, runtime.admission, Owner(**owner), issuer=loaded.auth.issuer
        )
    return opened.generated_password


def error_line(error: NudgeError) -> str:
    """An error in one line: the option with the invalid value, the message and the suggestion."""
    value = re.sub(r"(?=[A-Z])", "-", error.field[-1]).lower() if error.field else ""
    parts = [f"{value.removeprefix('organization-')}:" if value else "", error.message, error.suggestion or ""]
    return " ".join(part for part in parts if part)


def ask_password() -> str:
    """Read a password from the terminal, twice, without echo."""
    password: str = typer.prompt("Password of the owner", hide_input=True, confirmation_prompt=True)
    return password


def exit_with(problems: list[str]) -> None:
    """Print all problems and exit with 1; do nothing if there are none."""
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


def main() -> None:
    """The entry point: prints one message for an invalid setting or an unusable server, and exits with 2.

    Any other error is logged with a traceback without values, and the exit code is 1.
    """
    telemetry.configure("INFO", json=os.environ.get(variable("environment")) == Environment.PRODUCTION)
    try:
        cli()
    except SupervisedTaskEnded as error:
        fail(f"{error} Restart it.", code=1)
    except (OperatorError, LocalError) as error:
        fail(str(error))
    except Exception as error:
        reason = outage_reason(error)
        if reason is None:
            sys.excepthook = telemetry.log_uncaught  # typer has set its own hook, which prints messages
            raise
        fail(f"{reason}.")


def outage_reason(error: Exception) -> str | None:
    """The reason for an error of a file or a server; None if the error may be a bug."""
    from core import servers

    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}"
    reason = servers.outage_reason(error)
    return None if reason is None else f"a server became unavailable: {reason}"


def fail(message: str, *, code: int = 2) -> None:
    """Print the message and exit with the code."""
    sys.stderr.write(f"nudge: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()

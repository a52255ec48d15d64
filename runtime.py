"""The runtime of a process: its connections and adapters, built once from the settings."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from core import preflight
from core.access.tenant import Tenant
from core.database.engine import ReadSide, create_engine, dispose, read_side
from core.database.scopes import ReadScope, SystemScope
from core.logstream import LogStream
from core.pubsub import Hub, Publisher, RedisBackend
from core.queue import Queue
from core.security import AccessTokens, Signer
from core.supervision import Supervisors
from core.unit_of_work import Work
from development import reset_advice
from integrations import LanguageModel, Mailer, MailWebhooks, build_language_model, build_mailer, build_webhooks
from integrations.jwks import JwksVerifier
from services.accounts.admission import Admission, build_admission
from services.accounts.identity import EmbeddedTokens, Identity, IssuerTokens, TokenVerifier
from services.accounts.session_cache import SessionCache
from services.features import Features
from services.mailing.limits import MailLimits, mail_limits
from services.senders.policy import SenderPolicy, sender_policy
from settings import Settings, require

CACHE_TIMEOUT_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The parts of a running process. Services get only the parts they need."""

    settings: Settings
    engine: AsyncEngine
    system: SystemScope
    queue: Queue
    work: Work
    publisher: Publisher
    hub: Hub
    logs: LogStream
    cache: Redis
    tokens: AccessTokens
    identity: Identity
    admission: Admission
    sender_policy: SenderPolicy
    mail_limits: MailLimits
    unsubscribe_signer: Signer
    features: Features
    mailer: Mailer
    webhooks: Mapping[str, MailWebhooks]
    language_model: LanguageModel
    supervisors: Supervisors
    read_side: ReadSide = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "read_side", read_side(self.engine))

    def reads(self, tenant: Tenant) -> ReadScope:
        """A read scope for the tenant."""
        return ReadScope(self.read_side, tenant)


def secret(value: SecretStr | None) -> str:
    """The text of a secret that `settings.require` has checked to be set."""
    if value is None:
        raise AssertionError("settings.require() was not called")
    return value.get_secret_value()


async def check_servers(settings: Settings) -> None:
    """Check the settings and the servers before a process starts.

    Raises `InvalidSettings`, `ServerUnusable` or `UnsafeDatabase`, each with one sentence for the operator.
    """
    require(settings)
    advice = reset_advice(settings, secret(settings.database.url))
    await preflight.check(settings.database, settings.redis, reset_advice=advice)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Runtime]:
    """Build a runtime, and close it when the block ends. Raises `InvalidSettings`."""
    require(settings)
    redis_url = secret(settings.redis.url)
    engine = create_engine(
        secret(settings.database.url),
        pool_size=settings.database.pool_size,
        statement_timeout_seconds=settings.database.statement_timeout_seconds,
    )
    queue = Queue(redis_url)
    publisher = Publisher(redis_url)
    tokens = AccessTokens(
        secret(settings.auth.signing_key),
        audience=settings.auth.audience,
        lifetime_seconds=settings.auth.access_token_seconds,
    )
    system = SystemScope(engine)
    mailer = build_mailer(settings.postmark)
    language_model = build_language_model(settings.llm)
    supervisors = Supervisors()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(dispose, engine)
        stack.push_async_callback(queue.aclose)
        stack.push_async_callback(mailer.aclose)
        stack.push_async_callback(language_model.aclose)
        stack.push_async_callback(publisher.aclose)
        hub = await stack.enter_async_context(Hub(RedisBackend(redis_url, supervisors=supervisors)))
        redis = await stack.enter_async_context(Redis.from_url(redis_url))
        cache = await stack.enter_async_context(
            Redis.from_url(
                redis_url, socket_timeout=CACHE_TIMEOUT_SECONDS, socket_connect_timeout=CACHE_TIMEOUT_SECONDS
            )
        )
        admission = build_admission(settings.auth, cache, production=settings.production)
        stack.callback(admission.passwords.close)
        yield Runtime(
            settings=settings,
            engine=engine,
            system=system,
            queue=queue,
            work=Work(engine, queue, publisher),
            publisher=publisher,
            hub=hub,
            logs=LogStream(redis),
            cache=cache,
            tokens=tokens,
            identity=Identity(await _token_verifier(settings, tokens, system, stack), SessionCache(engine, cache)),
            admission=admission,
            sender_policy=sender_policy(mailer, production=settings.production, features=settings.features),
            features=settings.features,
            mail_limits=mail_limits(cache, production=settings.production),
            unsubscribe_signer=Signer(secret(settings.security.secret_key), "unsubscribe"),
            mailer=mailer,
            webhooks=build_webhooks(settings.postmark),
            language_model=language_model,
            supervisors=supervisors,
        )


async def _token_verifier(
    settings: Settings, tokens: AccessTokens, system: SystemScope, stack: AsyncExitStack
) -> TokenVerifier:
    """The verifier of access tokens: our own, or those of the configured issuer."""
    if settings.auth.issuer is None:
        return EmbeddedTokens(tokens)
    shared = settings.auth.shared_secret
    keys = JwksVerifier(
        settings.auth.issuer,
        audience=settings.auth.audience,
        url=settings.auth.jwks_url,
        shared_secret=shared.get_secret_value() if shared else None,
    )
    return IssuerTokens(await stack.enter_async_context(keys), system)

"""Messages from Liquid templates: read once per campaign, rendered for every recipient."""

from services.rendering.checks import check_content
from services.rendering.errors import RenderFailed, TemplateInvalid
from services.rendering.messages import MessageTemplate, RenderedMessage, compile_message
from services.rendering.templates import Template, compile_template
from services.rendering.variables import campaign_variables, contact_variables

__all__ = [
    "MessageTemplate",
    "RenderFailed",
    "RenderedMessage",
    "Template",
    "TemplateInvalid",
    "campaign_variables",
    "check_content",
    "compile_message",
    "compile_template",
    "contact_variables",
]

import re

SUBJECT = re.compile(r"\babout (?:the |our |my |a |an )?([^.?!\n]{3,60})", re.IGNORECASE)
QUOTED = re.compile(r"[\"“]([^\"“”]{3,60})[\"”]")


def draft(question: str) -> str:
    """A plain e-mail about the topic of the question, with a merge tag for the first name."""
    match = QUOTED.search(question) or SUBJECT.search(question)
    topic = match[1].strip() if match else "our news"
    return (
        f"Here is a plain draft to start from.\n\n**Subject:** {topic[:1].upper()}{topic[1:]}\n\n"
        f'Hi {{{{ contact.firstName | default: "there" }}}},\n\n'
        f"you are the first to learn about {topic}. Reply to this e-mail with any question.\n"
    )

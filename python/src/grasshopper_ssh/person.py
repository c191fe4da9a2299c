"""Who may use SSH in this server."""


async def may_use_ssh(handler):
    """Whoever may not use a terminal may not use SSH."""
    allowed = handler.authorizer.is_authorized(handler, handler.current_user, "execute", "terminals")
    if hasattr(allowed, "__await__"):
        allowed = await allowed
    return bool(allowed)

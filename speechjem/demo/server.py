"""The server of the page: by default for this machine only; all its files are in one folder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SpeechjemError, UsageError
from ..models import checkpoint
from ..models.speech import SpeechModel

if TYPE_CHECKING:
    from fastapi import FastAPI

HOST, PORT = "127.0.0.1", 7860
MAX_UPLOAD = "50mb"
LOOPBACK = ("127.0.0.1", "localhost")
# The browser itself refuses to load anything from elsewhere. Gradio's page has inline scripts and styles.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'"
)


def serve(
    model: str | None = None, host: str = HOST, port: int = PORT, ready: Callable[[str], None] = print
) -> None:
    """Serve the page until interrupted; all files of its users are then deleted.

    Args:
        model: as in `checkpoint.locate`; the shipped model by default.
        host: address to listen on; the default is reached from this machine only.
        port: 0 takes any free one.
        ready: called with the address of the page once it can be opened.

    Raises:
        UsageError: if the address or port cannot be used.
        SpeechjemError: if gradio is not installed.
        ModelError: if the model cannot be loaded.
    """
    with _listen(host, port) as listener, tempfile.TemporaryDirectory(prefix="speechjem-demo-") as folder:
        app = create(checkpoint.load(model), Path(folder), LOOPBACK if host in LOOPBACK else ("*",))
        import uvicorn

        # Open pages keep connections: do not wait for them at the end.
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
        ready(f"http://{host}:{listener.getsockname()[1]}/")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def create(model: SpeechModel, folder: Path, hosts: tuple[str, ...] = LOOPBACK) -> FastAPI:
    """The application.

    Args:
        model: for all users.
        folder: for all files; nothing outside of it is served.
        hosts: host names that requests may have, against DNS rebinding by other sites.

    Raises:
        SpeechjemError: if gradio is not installed.
    """
    # Gradio reads these when it is imported and when components are made.
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "GRADIO_EXAMPLES_CACHE": str(folder / "examples"),
    }
    try:
        import gradio
        from fastapi import FastAPI
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise SpeechjemError("The page needs gradio; run: pip install 'speechjem[demo]'.") from error
    from . import page
    from .runs import Runs

    made = folder / "runs"
    made.mkdir()
    blocks = page.build(Runs(model, made))
    # Without this, a mounted page takes any path that a client sends for an upload, and serves it.
    blocks.has_launched = True
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gradio.mount_gradio_app(
        app, blocks, "/", allowed_paths=[str(made)], max_file_size=MAX_UPLOAD,
        theme=page.theme(), head=page.head(), footer_links=[], run_history=False, ssr_mode=False,
        show_error=False, mcp_server=False, enable_monitoring=False, pwa=False,
    )  # fmt: skip
    app.add_middleware(_Local)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    return app


class _Local:
    """Sends the policy to browsers, and refuses to fetch files from other servers, which Gradio would do."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        if "=http" in scope.get("path", ""):  # /gradio_api/file=http://..., /gradio_api/proxy=http://...
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body"})
        else:
            await self.app(scope, receive, send_with_policy)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on {host}, port {port} ({error}); choose others with --host and --port."
        ) from error

"""What the server offers over its core, and what of it is to come."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import flag


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Files:
    """Files and artifacts."""

    enable_s3_for_anonymous_users: bool = flag(
        False,
        "Let anonymous users keep files; else their workspaces are read-only there",
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Features:
    """Features."""

    interactive: bool = flag(False, "A Python prompt with `app` and `store`, on this terminal")
    enable_server: bool = flag(False, "With --interactive: serve as well")
    in_docker: bool = flag(False, "Run the browser of the server without its sandbox, which containers lack")
    enable_service_search: bool = flag(False, "Search services by meaning", feature="search by meaning")
    enable_mcp: bool = flag(False, "Services as MCP tools", feature="MCP")
    enable_a2a: bool = flag(False, "Services as A2A agents", feature="A2A")
    enable_k8s_worker: bool = flag(False, "Apps as pods of a Kubernetes cluster")
    enable_terminal_worker: bool = flag(
        False, "Apps in a terminal, for administrators and workspaces in TERMINAL_AUTHORIZED_WORKSPACES"
    )
    disable_agent_skills: bool = flag(
        False, "No documentation for language-model tools", feature="agent skills"
    )
    ollama_host: str | None = flag(None, "Ollama server", feature="language models")
    openai_base_url: str | None = flag(None, "Server with the OpenAI interface", feature="language models")
    openai_api_key: str | None = flag(None, "Key of that server", feature="language models", secret=True)


INACTIVE_ROUTES = {
    "/{workspace}/git": "git",
    "/{workspace}/mcp": "MCP",
    "/{workspace}/a2a": "A2A",
    "/{workspace}/mcp-info": "MCP",
    "/{workspace}/a2a-info": "A2A",
    "/{workspace}/agent-skills": "agent skills",
    "/{workspace}/create-zip-file": "zip files of workspaces",
    "/{workspace}/apps": "the list of apps",
}
"""First path segments of routes that come later -> the feature's name."""

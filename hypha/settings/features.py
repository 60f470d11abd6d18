"""What the server offers over its core, and what of it is to come."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import flag, variable


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Files:
    """Files and artifacts."""

    endpoint_url: str | None = flag(None, "S3 endpoint", feature="storage on S3")
    endpoint_url_public: str | None = flag(None, "S3 endpoint as others see it", feature="storage on S3")
    access_key_id: str | None = flag(None, "S3 access key", feature="storage on S3", secret=True)
    secret_access_key: str | None = flag(None, "S3 secret key", feature="storage on S3", secret=True)
    region_name: str = flag("EU", "S3 region", feature="storage on S3")
    s3_admin_type: str = flag(
        "generic", "Kind of S3 server", choices=("generic", "minio"), feature="storage on S3"
    )
    enable_s3_for_anonymous_users: bool = flag(
        False,
        "Let anonymous users keep files; else their workspaces are read-only there",
    )
    s3_disable_proxy: bool = variable(
        True, "Ignore proxy variables for S3", "HYPHA_S3_DISABLE_PROXY", feature="storage on S3"
    )
    start_minio_server: bool = flag(
        False, "Accepted for older start scripts: files are kept in the embedded store"
    )
    minio_workdir: str | None = flag(None, "Folder of all files with --minio-file-system-mode")
    minio_port: int = flag(9000, "Port of the built-in MinIO", feature="the built-in MinIO")
    minio_console_port: int | None = flag(
        None, "Port of its console; port + 1 when absent", feature="the built-in MinIO"
    )
    minio_root_user: str = flag("minioadmin", "Its user", feature="the built-in MinIO")
    minio_root_password: str = flag("minioadmin", "Its password", feature="the built-in MinIO", secret=True)
    minio_version: str | None = flag(None, "Its release", feature="the built-in MinIO")
    mc_version: str | None = flag(None, "Release of its client", feature="the built-in MinIO")
    minio_file_system_mode: bool = flag(
        False, "With --start-minio-server and --minio-workdir: keep all files as plain files in that folder"
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Features:
    """Features."""

    interactive: bool = flag(False, "A Python prompt with `app` and `store`, on this terminal")
    enable_server: bool = flag(False, "With --interactive: serve as well")
    enable_server_apps: bool = flag(False, "Apps that the server runs", feature="server apps")
    in_docker: bool = flag(False, "Run the browser without its sandbox", feature="server apps")
    disable_ssl: bool = flag(False, "Built-in workers don't check certificates", feature="server apps")
    disable_inprocess_browser_worker: bool = variable(
        False,
        "Server apps without a local browser",
        "HYPHA_DISABLE_INPROCESS_BROWSER_WORKER",
        feature="server apps",
    )
    enable_service_search: bool = flag(False, "Search services by meaning", feature="search by meaning")
    enable_mcp: bool = flag(False, "Services as MCP tools", feature="MCP")
    enable_a2a: bool = flag(False, "Services as A2A agents", feature="A2A")
    enable_k8s_worker: bool = flag(False, "Apps on Kubernetes", feature="the Kubernetes worker")
    enable_terminal_worker: bool = flag(False, "Apps in a terminal", feature="the terminal worker")
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
    "/{workspace}/view": "showing artifacts as pages",
    "/{workspace}/apps": "server apps",
}
"""First path segments of routes that come later -> the feature's name."""

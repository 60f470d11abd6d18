"""OpenAPI 3.1 descriptions: of the whole server, of one workspace, of one service."""

from hypha.gateways.http.openapi.documents import service_document, workspace_document
from hypha.gateways.http.openapi.server import server_document
from hypha.gateways.http.openapi.services import DescribedService

__all__ = ["DescribedService", "server_document", "service_document", "workspace_document"]

"""A client for Figma's REST API, written from its OpenAPI document as the guide shows."""

from models import Comment, GetMeResponse, Version, WebhookV2

import httpkit


class Files(httpkit.Resource[dict]):
    comments = httpkit.Resource("comments", Comment, items_at="comments")
    versions = httpkit.Resource(
        "versions",
        Version,
        items_at="versions",
        pages=httpkit.NextURLPages("pagination.next_page"),
    )


class Figma(httpkit.Session):
    me = httpkit.Singleton("v1/me", GetMeResponse)
    files = Files("v1/files")
    webhooks = httpkit.Resource("v2/webhooks", WebhookV2, items_at="webhooks", update_method="PUT")

"""A client for GitHub's REST API: copy it, and add what you need.

github = GitHub(auth=httpkit.BearerAuth.from_env("GITHUB_TOKEN"))
for issue in github.repos("octocat/hello-world").issues.list(params={"state": "open"}):
    print(issue.number, issue.title)
"""

from dataclasses import dataclass

import httpkit

ACCEPT = "application/vnd.github+json, application/json;q=0.9"
HEADERS = {"Accept": ACCEPT, "X-GitHub-Api-Version": "2022-11-28"}


@dataclass
class Repo:
    full_name: str  # "octocat/hello-world"
    private: bool


@dataclass
class Issue:
    number: int
    title: str
    state: str  # "open" or "closed"
    body: str | None


@dataclass
class Comment:
    id: int
    body: str


@dataclass
class Asset:
    name: str
    url: str


@dataclass
class Release:
    tag_name: str
    assets: list[Asset]


class Issues(httpkit.Resource[Issue]):
    # Comments are listed below their issue; a single one is beside the issues.
    comments = httpkit.Resource("comments", Comment, item_path="../comments/{id}")


class Repos(httpkit.Resource[Repo]):
    issues = Issues("issues", Issue)
    comments = httpkit.Resource("issues/comments", Comment)  # of all issues
    releases = httpkit.Resource("releases", Release)


class GitHub(httpkit.Session, headers=HEADERS):
    base_url = "https://api.github.com"
    repos = Repos("user/repos", Repo, item_path="repos/{+id}")  # its ids are full names

    def repos_of(self, org: str) -> httpkit.Pages[Repo]:
        return self.paginate("orgs/{org}/repos", path={"org": org}, model=Repo)

    def download_asset(self, asset: Asset, folder: str) -> httpkit.Download:
        return self.download(asset.url, folder, headers={"Accept": "application/octet-stream"})

// An authorization server on loopback: it prints its issuer and two refresh tokens as JSON, and
// ends with its standard input.

import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const client = (client_id, token_endpoint_auth_method, more = {}) => ({
  client_id,
  client_secret: process.env.CLIENT_SECRET,
  token_endpoint_auth_method,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  scope: "read write",
  ...more,
});
const app = {
  grant_types: ["authorization_code", "refresh_token"],
  redirect_uris: ["https://app.test/"],
  response_types: ["code"],
  scope: "openid offline_access",
};

const configuration = {
  clients: [
    client("service:basic", "client_secret_basic"),
    client("service-post", "client_secret_post"),
    client("app", "client_secret_basic", app),
    client("public-app", "none", { ...app, client_secret: undefined }),
  ],
  scopes: ["read", "write", "openid", "offline_access"],
  ttl: { AccessToken: 60, ClientCredentials: 60, Grant: 600, IdToken: 60, RefreshToken: 600 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: "read write",
        audience: resource,
        accessTokenTTL: 30,
        accessTokenFormat: resource.endsWith("/jwt") ? "jwt" : "opaque",
      }),
    },
  },
};

let handle;
const server = createServer((request, response) => handle(request, response));
server.listen(0, "127.0.0.1", async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  handle = provider.callback();

  // What a user's consent in a browser leaves behind.
  const consented = async (clientId) => {
    const grant = new provider.Grant({ accountId: "ada", clientId });
    grant.addOIDCScope("openid offline_access");
    const grantId = await grant.save();
    const token = new provider.RefreshToken({
      accountId: "ada",
      client: await provider.Client.find(clientId),
      grantId,
      gty: "authorization_code",
      scope: "openid offline_access",
    });
    return token.save();
  };
  const refreshTokens = [await consented("app"), await consented("public-app")];
  console.log(JSON.stringify({ issuer, refreshTokens }));
});
process.stdin.on("end", () => process.exit()).resume();

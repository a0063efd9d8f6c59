# Tailrace as an image: docker build -t tailrace . && docker run -p 8082:8082 -v tailrace:/data tailrace
#
# Untested as an image: no image could be built where this was written. Tried by hand in a clean clone, one by one and
# with the same Node: the three RUN steps of the first stage, the tree that the second stage copies together, its
# command with its environment, its health check, and SIGTERM.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY tools ./tools
# The workspace brings a Node for machines with an older one: not needed here.
RUN npm ci --workspaces=false
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
RUN npm run build
RUN npm prune --omit=dev --workspaces=false

FROM node:24-bookworm-slim
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY bin ./bin
COPY schemas ./schemas
COPY examples ./examples
COPY openapi.yaml openapi-compat.yaml asyncapi.yaml LICENSE ./
RUN mkdir /data && chown node:node /data

ENV NODE_ENV=production TAILRACE_HOST=0.0.0.0 TAILRACE_PORT=8082 TAILRACE_DATA_DIR=/data
USER node
VOLUME /data
EXPOSE 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.TAILRACE_PORT}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "bin/tailrace.js"]
CMD ["serve"]

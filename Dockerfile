# The gateway in a container, without a shell, as a user that is not root:
#
#   docker build --build-arg VERSION=1.2.3 -t apnsbridge .
#   docker run -p 2195:2195 -p 2196:2196 --stop-timeout 45 -v $PWD/etc:/etc/apnsbridge:ro -v apnsbridge:/var/lib/apnsbridge apnsbridge
#
# with apnsbridge.yaml and what it names in etc, readable by user 65532, and
# store: {path: /var/lib/apnsbridge}. --stop-timeout is limits.drain and some time to close.
# TestDockerfile takes these steps without Docker.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.release=$VERSION" -o /out/apnsbridge ./cmd/apnsbridge
RUN mkdir -p /out/data

# It has the authorities below which APNs' certificates are signed, and time zones.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/apnsbridge /usr/bin/apnsbridge
COPY --from=build --chown=65532:65532 /out/data /var/lib/apnsbridge
USER 65532:65532
EXPOSE 2195 2196
VOLUME /var/lib/apnsbridge
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/apnsbridge", "status", "--config", "/etc/apnsbridge/apnsbridge.yaml"]
ENTRYPOINT ["/usr/bin/apnsbridge"]
CMD ["serve", "--config", "/etc/apnsbridge/apnsbridge.yaml"]

/* Sends notifications as libcapn 2.0 does: one payload to a list of tokens, frames of
 * five items in the order of their numbers, each a write of its own behind a look at
 * whether there is something to read, and a second's wait behind the last.
 *
 *   cc capn.c -lssl -lcrypto
 *   capn HOST:PORT CERT CA MODE PAUSE < notifications
 *
 * CERT has the key too, PAUSE is the milliseconds behind every 50 notifications. A
 * notification is a line: a device token, a space, an alert, of which the first is for
 * all. MODE is
 *   send2      the library connects anew, a second after an error response, and sends
 *              the rest: a frame's identifier is its place in the list
 *   send2-1.0  the same over TLS 1.0, which is all that the library as published speaks
 *   send       the library ends with the first error response: its caller hands it the
 *              rest as a list of its own, which begins with identifier 0
 * It prints a line for each error response: error, the status, the device token.
 */
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

enum { token_size = 32, invalid_token = 8, max_tokens = 1000000 };

static const char *address, *certificate, *authority, *mode;
static uint8_t (*tokens)[token_size];
static uint32_t count;
static char payload[256];
static int sock = -1;
static SSL *ssl;

static void give_up(const char *what) {
    fprintf(stderr, "%s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void wait_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void read_list(void) {
    char line[1024];
    tokens = calloc(max_tokens, token_size);
    if (tokens == NULL) give_up("no memory");
    while (count < max_tokens && fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        for (int i = 0; i < token_size; i++)
            if (sscanf(line + 2 * i, "%2hhx", &tokens[count][i]) != 1) give_up("not a token");
        if (count++ == 0)
            snprintf(payload, sizeof payload, "{\"aps\":{\"alert\":\"%.200s\"}}", line + 2 * token_size + 1);
    }
}

static void open_connection(void) {
    char host[256];
    const char *port = strrchr(address, ':');
    struct addrinfo *found, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    snprintf(host, sizeof host, "%.*s", (int)(port - address), address);
    if (getaddrinfo(host, port + 1, &hints, &found) != 0) give_up("no such host");
    sock = socket(AF_INET, SOCK_STREAM, 0);
    if (sock < 0 || connect(sock, found->ai_addr, found->ai_addrlen) < 0) give_up("connect");
    freeaddrinfo(found);

    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (strcmp(mode, "send2-1.0") == 0) {
        SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(context, TLS1_VERSION);
        SSL_CTX_set_cipher_list(context, "DEFAULT@SECLEVEL=0"); /* today's OpenSSL wants no SHA-1 */
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(context, authority, NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, certificate, SSL_FILETYPE_PEM) != 1)
        give_up("certificates");
    ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(ssl, sock);
    if (SSL_connect(ssl) != 1) give_up("handshake");
}

static void close_connection(void) {
    SSL_shutdown(ssl);
    SSL_free(ssl);
    shutdown(sock, SHUT_RDWR);
    close(sock);
}

static uint8_t *item(uint8_t *at, uint8_t id, const void *data, uint16_t size) {
    *at++ = id;
    *at++ = size >> 8;
    *at++ = size & 255;
    memcpy(at, data, size);
    return at + size;
}

static void put32(uint8_t *at, uint32_t n) {
    for (int i = 0; i < 4; i++) at[i] = n >> (24 - 8 * i);
}

static void write_frame(const uint8_t *token, uint32_t identifier) {
    uint8_t frame[512] = {2}, *at = frame + 5, number[4];
    at = item(at, 1, token, token_size);
    at = item(at, 2, payload, strlen(payload));
    put32(number, identifier);
    at = item(at, 3, number, 4);
    put32(number, time(NULL) + 3600);
    at = item(at, 4, number, 4);
    at = item(at, 5, "\x0a", 1);
    put32(frame + 1, at - frame - 5);
    if (SSL_write(ssl, frame, at - frame) <= 0) give_up("write");
}

/* Whether there is something to read, when there is or one may write; or else within
 * some seconds. */
static int readable(int or_writable, int seconds) {
    fd_set reads, writes;
    struct timeval patience = {seconds, 0};
    FD_ZERO(&reads);
    FD_ZERO(&writes);
    FD_SET(sock, &reads);
    if (or_writable) FD_SET(sock, &writes);
    if (select(sock + 1, &reads, &writes, NULL, &patience) < 0) give_up("select");
    return FD_ISSET(sock, &reads);
}

/* Sends the list from a place on, whose frame has the given identifier. Gives the place
 * of the one that failed, or the end of the list. */
static uint32_t send_from(uint32_t first, uint32_t identifier, long pause) {
    uint32_t i = first;
    int told = 0;
    for (; i < count && !(told = readable(1, 10)); i++) {
        write_frame(tokens[i], identifier + i - first);
        if (i % 50 == 49) wait_ms(pause);
    }
    if (!told && !readable(0, 1)) return count;
    uint8_t response[6];
    if (SSL_read(ssl, response, sizeof response) != sizeof response || response[0] != 8) give_up("no error response");
    uint32_t named = 0;
    for (int j = 2; j < 6; j++) named = named << 8 | response[j];
    uint32_t failed = first + (named - identifier);
    if (failed >= count) give_up("it names none of the list");
    printf("error %d ", response[1]);
    for (int j = 0; j < token_size; j++) printf("%02x", tokens[failed][j]);
    printf("\n");
    if (response[1] != invalid_token) give_up("another status: the list ends here");
    return failed;
}

int main(int argc, char **argv) {
    if (argc != 6) give_up("capn HOST:PORT CERT CA MODE PAUSE");
    address = argv[1], certificate = argv[2], authority = argv[3], mode = argv[4];
    signal(SIGPIPE, SIG_IGN);
    read_list();
    open_connection();
    for (uint32_t next = 0;;) {
        next = send_from(next, strcmp(mode, "send") == 0 ? 0 : next, atol(argv[5])) + 1;
        close_connection();
        if (next >= count) break;
        wait_ms(1000);
        open_connection();
    }
    printf("sent\n");
    return 0;
}

import java.io.*;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.*;
import java.util.concurrent.*;
import javax.net.ssl.*;

/**
 * Sends notifications as Java's libraries do.
 *
 *   java Apns.java HOST:PORT P12 CA LIBRARY PAUSE < notifications
 *
 * The password of P12 is secret, PAUSE is the milliseconds behind every 50 notifications. A
 * notification is a line: a device token, a space, an alert. LIBRARY is
 *   java-apns  1.0: a thread reads error responses; of the last hundred what stands behind
 *              the failed one is sent again under the same identifiers
 *   pushy      0.4: what stands behind the failed one is sent again under new identifiers,
 *              into the old socket round after round until its end is seen; at the end a
 *              frame without a token asks for the last error response
 * It prints a line for each error response: error, the status, the device token.
 */
class Apns {
    static final long PATIENCE = 2000; // milliseconds
    static final char[] PASSWORD = "secret".toCharArray();

    record Notification(int identifier, byte[] token, byte[] payload) {}

    static String host;
    static int port;
    static long pause;
    static SSLSocketFactory factory;

    public static void main(String[] args) throws Exception {
        String[] address = args[0].split(":");
        host = address[0];
        port = Integer.parseInt(address[1]);
        pause = Long.parseLong(args[4]);
        factory = context(args[1], args[2]).getSocketFactory();
        List<Notification> notifications = new ArrayList<>();
        for (String line : new BufferedReader(new InputStreamReader(System.in)).lines().toList()) {
            String[] fields = line.split(" ", 2);
            byte[] payload = ("{\"aps\":{\"alert\":\"" + fields[1] + "\"}}").getBytes(StandardCharsets.UTF_8);
            notifications.add(new Notification(notifications.size() + 1, HexFormat.of().parseHex(fields[0]), payload));
        }
        switch (args[3]) {
            case "java-apns" -> new JavaApns().run(notifications);
            case "pushy" -> new Pushy().run(notifications);
            default -> throw new IllegalArgumentException(args[3]);
        }
        System.out.println("sent");
        System.exit(0);
    }

    static SSLContext context(String own, String authority) throws Exception {
        KeyStore store = KeyStore.getInstance(new File(own), PASSWORD);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, PASSWORD);
        try (InputStream in = new FileInputStream(authority)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    static void rest(Notification n) {
        try {
            if (n.identifier % 50 == 0) Thread.sleep(pause);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    static void report(int status, Notification failed) {
        System.out.println("error " + status + " " + HexFormat.of().formatHex(failed.token));
    }

    static class JavaApns {
        static final int CACHE = 100, RETRIES = 3;

        private final Queue<Notification> cache = new ConcurrentLinkedQueue<>(), buffer = new ConcurrentLinkedQueue<>();
        private final Map<Integer, Notification> all = new HashMap<>();
        private int cacheLength = CACHE;
        private Socket socket;
        private volatile long heard;

        void run(List<Notification> notifications) throws Exception {
            for (Notification n : notifications) {
                all.put(n.identifier, n);
            }
            for (Notification n : notifications) {
                send(n);
                rest(n);
            }
            do {
                heard = System.currentTimeMillis();
                Thread.sleep(PATIENCE);
            } while (System.currentTimeMillis() - heard < PATIENCE);
            close(socket);
        }

        private static void close(Socket socket) {
            try {
                socket.close();
            } catch (IOException e) {
                // It is gone.
            }
        }

        private synchronized Socket open() throws IOException {
            if (socket == null || socket.isClosed()) {
                socket = factory.createSocket(host, port);
                Socket own = socket;
                Thread monitor = new Thread(() -> monitor(own));
                monitor.setDaemon(true);
                monitor.start();
            }
            return socket;
        }

        private void monitor(Socket own) {
            byte[] packet = new byte[6];
            try {
                while (own.getInputStream().readNBytes(packet, 0, 6) == 6) {
                    close(own);
                    DataInputStream in = new DataInputStream(new ByteArrayInputStream(packet, 1, 5));
                    int status = in.readUnsignedByte(), identifier = in.readInt();
                    heard = System.currentTimeMillis();
                    report(status, all.get(identifier));
                    again(identifier);
                }
            } catch (IOException e) {
                // It is closed, by this thread as a rule.
            } finally {
                closeCurrent();
            }
        }

        /** The library's monitor of the old socket ends with the new one's end. */
        private synchronized void closeCurrent() {
            close(socket);
        }

        /** All of the cache goes again, if the failed one is not in it. */
        private void again(int identifier) throws IOException {
            List<Notification> before = new ArrayList<>();
            boolean found = false;
            for (Notification n; !found && (n = cache.poll()) != null; ) {
                found = n.identifier == identifier;
                before.add(n);
            }
            if (!found) {
                cache.addAll(before);
                cacheLength += before.size() / 2;
            }
            for (Notification n; (n = cache.poll()) != null; ) {
                buffer.add(n);
            }
            drain();
        }

        private synchronized void send(Notification n) throws IOException {
            ByteArrayOutputStream frame = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(frame);
            out.writeByte(1);
            out.writeInt(n.identifier);
            out.writeInt((int) (System.currentTimeMillis() / 1000) + 86400);
            out.writeShort(n.token.length);
            out.write(n.token);
            out.writeShort(n.payload.length);
            out.write(n.payload);
            for (int attempts = 1; ; attempts++) {
                try {
                    Socket to = open();
                    to.getOutputStream().write(frame.toByteArray());
                    to.getOutputStream().flush();
                    break;
                } catch (IOException e) {
                    close(socket);
                    if (attempts >= RETRIES) throw e;
                }
            }
            cache.add(n);
            while (cache.size() > cacheLength) {
                cache.poll();
            }
            drain();
        }

        private void drain() throws IOException {
            for (Notification n; (n = buffer.poll()) != null; ) {
                send(n);
            }
        }
    }

    static class Pushy {
        private final BlockingQueue<Notification> queue = new LinkedBlockingQueue<>();
        private final BlockingQueue<Notification> retries = new LinkedBlockingQueue<>();

        void run(List<Notification> notifications) throws Exception {
            new Thread(() -> notifications.forEach(n -> {
                queue.add(n);
                rest(n);
            })).start();
            for (Connection last = null; last == null || !last.done; ) {
                last = new Connection();
                last.run();
            }
        }

        class Connection {
            private final SSLSocket socket = (SSLSocket) factory.createSocket(host, port);
            private final SortedMap<Integer, Notification> sent = new TreeMap<>();
            private final Thread reader = new Thread(this::read);
            private int next = 1, shutdown;
            private boolean rejected;
            private volatile boolean closed;
            private boolean done; // the frame without a token was refused, and nothing before it

            Connection() throws IOException {}

            void run() throws Exception {
                socket.startHandshake();
                reader.start();
                for (long idle = 0; !closed && shutdown == 0; ) {
                    Notification n = retries.poll();
                    if (n == null) n = queue.poll(10, TimeUnit.MILLISECONDS);
                    idle = n == null ? idle + 10 : 0;
                    if (n != null || idle >= PATIENCE) write(n);
                }
                reader.join();
                socket.close();
            }

            /** Takes turns with the reader, as in an event loop. */
            private synchronized void write(Notification n) {
                int identifier = next++;
                try {
                    if (n == null) {
                        if (rejected) return;
                        shutdown = identifier;
                        n = new Notification(0, new byte[0], new byte[0]);
                    }
                    socket.getOutputStream().write(frame(identifier, n));
                } catch (IOException e) {
                    if (n.identifier > 0) retries.add(n);
                    closed = true;
                    return;
                }
                if (n.identifier == 0) return;
                if (rejected) {
                    retries.add(n);
                } else {
                    sent.put(identifier, n);
                }
            }

            private void read() {
                try {
                    DataInputStream in = new DataInputStream(socket.getInputStream());
                    while (true) {
                        in.readByte();
                        reject(in.readUnsignedByte(), in.readInt());
                    }
                } catch (IOException e) {
                    closed = true;
                }
            }

            private synchronized void reject(int status, int identifier) {
                rejected = true;
                if (identifier == shutdown) {
                    done = true;
                } else {
                    report(status, sent.get(identifier));
                }
                retries.addAll(sent.tailMap(identifier + 1).values());
                sent.clear();
            }
        }

        static byte[] frame(int identifier, Notification n) throws IOException {
            ByteArrayOutputStream frame = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(frame);
            out.writeByte(2);
            out.writeInt(5 * 3 + 4 + n.token.length + n.payload.length + 4 + 1);
            out.writeByte(3);
            out.writeShort(4);
            out.writeInt(identifier);
            out.writeByte(1);
            out.writeShort(n.token.length);
            out.write(n.token);
            out.writeByte(2);
            out.writeShort(n.payload.length);
            out.write(n.payload);
            out.writeByte(4);
            out.writeShort(4);
            out.writeInt((int) (System.currentTimeMillis() / 1000) + 3600);
            out.writeByte(5);
            out.writeShort(1);
            out.writeByte(10);
            return frame.toByteArray();
        }
    }
}

# Sends notifications as Ruby's libraries do.
#
#   ruby apns.rb HOST:PORT CERT CA LIBRARY PAUSE < notifications
#
# CERT has the key too, PAUSE is the milliseconds behind every 50 notifications. A
# notification is a line: a device token, a space, an alert.
# LIBRARY is
#   rpush        batches of 50 in one write; a thread of its own reads error responses,
#                and what stood behind one is sent again, by a later look at the database
#   houston      asks after each write, and for half a second behind the last, whether
#                there is something to read; sends the rest again under new identifiers
#   houston-2.2  asks after each write, and goes on with the next whatever it reads
# It prints a line for each error response: error, the status, the device token.
require "openssl"
require "socket"

ADDRESS, CERTIFICATE, AUTHORITY, LIBRARY, pause = ARGV
PAUSE = pause.to_f / 1000
BATCH = 50
Notification = Struct.new(:id, :token, :alert, :delivered)

class Connection
  attr_reader :ssl

  def initialize
    context = OpenSSL::SSL::SSLContext.new
    pem = File.read(CERTIFICATE)
    context.key = OpenSSL::PKey::RSA.new(pem, "")
    context.cert = OpenSSL::X509::Certificate.new(pem)
    context.ca_file = AUTHORITY
    context.verify_mode = OpenSSL::SSL::VERIFY_PEER
    host, port = ADDRESS.split(":")
    @tcp = TCPSocket.new(host, port)
    @tcp.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1) if LIBRARY == "rpush"
    @ssl = OpenSSL::SSL::SSLSocket.new(@tcp, context)
    @ssl.sync = true
    @ssl.connect
  end

  def close
    @ssl.close
    @tcp.close
  rescue IOError
  end
end

def item(id, data) = [id, data.bytesize].pack("Cn") + data

# The first three are houston's, all five rpush's.
def frame(id, notification, items)
  all = item(1, [notification.token].pack("H*")) + item(2, %({"aps":{"alert":"#{notification.alert}"}}))
  all += item(3, [id].pack("N"))
  all += item(4, [86400].pack("N")) + item(5, [10].pack("C")) if items == 5
  [2, all.bytesize].pack("CN") + all
end

def report(status, notification)
  puts "error #{status} #{notification.token}"
end

class Rpush
  POLL = 0.3     # the library's own is two seconds
  PATIENCE = 2.0
  KEPT = 1000

  def initialize(notifications)
    @database = notifications
    @mutex = Mutex.new
    @delivered = [] # identifiers
  end

  def run
    @connection = Connection.new
    reader = Thread.new { check_for_error until @stop }
    idle = 0
    while idle < PATIENCE
      pending = @mutex.synchronize { @database.reject(&:delivered) }
      pending.each_slice(BATCH) { |batch| dispatch(batch) }
      idle = pending.empty? ? idle + POLL : 0
      sleep POLL
    end
    @stop = true
    @connection.close
    reader.join
  end

  private

  def dispatch(batch)
    @mutex.synchronize do
      write(batch.map { |n| frame(n.id, n, 5) }.join)
      batch.each { |n| n.delivered = true }
      @delivered = (@delivered + batch.map(&:id)).last(KEPT)
    end
    sleep PAUSE
  end

  def write(data)
    tries = 0
    begin
      @connection.ssl.write(data)
    rescue Errno::EPIPE, Errno::ETIMEDOUT, OpenSSL::SSL::SSLError, IOError
      raise if (tries += 1) > 3
      reconnect
      sleep 1
      retry
    end
  end

  def reconnect
    @connection.close
    @connection = Connection.new
  end

  def check_for_error
    return unless IO.select([@connection.ssl], nil, nil, 0.5)
    tuple = @connection.ssl.read(6)
    @mutex.synchronize { handle(tuple) unless @stop }
  rescue SystemCallError, IOError
  end

  def handle(tuple)
    if tuple
      _, status, id = tuple.unpack("CCN")
      report(status, @database[id - 1])
      position = @delivered.index(id)
      @delivered[(position + 1)..].each { |behind| @database[behind - 1].delivered = false } if position
    end
    reconnect
  ensure
    @delivered.clear
  end
end

class Houston
  def initialize(resends) = @resends = resends

  def push(notifications)
    return if notifications.empty?
    error = nil
    connection = Connection.new
    ssl = connection.ssl
    notifications.each_with_index do |notification, index|
      sleep PAUSE if index % BATCH == BATCH - 1
      ssl.write(frame(index, notification, 3))
      readable, = IO.select([ssl], [ssl], [ssl], nil)
      next unless readable && readable[0] && (tuple = ssl.read(6))
      error = tuple
      break if @resends
      told(error, notifications)
    end
    if @resends && !error && IO.select([ssl], nil, [ssl], 0.5)
      error = ssl.read(6)
    end
    connection.close
    return unless @resends && error
    push(notifications[(told(error, notifications) + 1)..])
  end

  private

  def told(error, notifications)
    _, status, index = error.unpack("CCN")
    report(status, notifications[index])
    index
  end
end

notifications = $stdin.each_line.with_index(1).map { |line, id| Notification.new(id, *line.chomp.split(" ", 2)) }
case LIBRARY
when "rpush" then Rpush.new(notifications).run
when "houston" then Houston.new(true).push(notifications)
when "houston-2.2" then Houston.new(false).push(notifications)
else abort "no library #{LIBRARY}"
end
puts "sent"

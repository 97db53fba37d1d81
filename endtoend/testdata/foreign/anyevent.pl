# Sends notifications as the CPAN module AnyEvent::APNS 0.10 does: enhanced frames, each
# field a write of its own, identifiers counted over all connections, so that one that is
# sent again has a new one.
#
#   perl anyevent.pl HOST:PORT CERT CA MODE PAUSE < notifications
#
# CERT has the key too, PAUSE is the milliseconds behind every 50 notifications. A
# notification is a line: a device token, a space, an alert. MODE is
#   again  on an error response it connects anew and sends again what stood behind
#   later  the same of a process that has sent 5,000 before
#   drain  as the module's synopsis: without a pause, and it ends as soon as all is written
# It prints a line for each error response: error, the status, the device token.
# It exits with 77 where a module is missing.
use strict;
use warnings;

BEGIN {
    eval { require AnyEvent; require AnyEvent::Handle; require AnyEvent::TLS; 1 } or do { print $@; exit 77 };
}
use AnyEvent::Socket;

my ($address, $certificate, $authority, $mode, $pause) = @ARGV;
my ($host, $port) = split /:/, $address;
my @notifications = map { chomp; [split / /, $_, 2] } <STDIN>;

my $finished = AnyEvent->condvar;
my ($handle, $timer);
my $again = $mode ne 'drain';
my $identifier = $mode eq 'later' ? 5000 : 0;
my %place;    # of a notification in the list, by its identifier

sub notify {
    my ($place) = @_;
    my ($token, $alert) = @{ $notifications[$place] };
    my $payload = qq({"aps":{"alert":"$alert"}});
    $place{ ++$identifier } = $place;
    $handle->push_write(pack 'C', 1);
    $handle->push_write(pack 'N', $identifier);
    $handle->push_write(pack 'N', time + 3600 * 24);
    $handle->push_write(pack 'n', 32);
    $handle->push_write(pack 'H*', $token);
    $handle->push_write(pack 'n', length $payload);
    $handle->push_write($payload);
}

sub heard {
    my ($status, $failed) = @_;
    print "error $status $notifications[$place{$failed}][0]\n";
    $handle->destroy;
    undef $timer;
    begin($place{$failed} + 1) if $again;
}

# Sends what stands from here on over a new connection.
sub begin {
    my ($from) = @_;
    tcp_connect $host, $port, sub {
        my ($fh) = @_ or die "connect: $!\n";
        $handle = AnyEvent::Handle->new(
            fh      => $fh,
            tls     => 'connect',
            tls_ctx => { cert_file => $certificate, ca_file => $authority, verify => 1 },
            on_error => sub {
                my ($ended, undef, $message) = @_;
                $ended->destroy;
                print "ended: $message\n";
            },
            on_read => sub {
                $_[0]->push_read(chunk => 6, sub {
                    my (undef, $status, $failed) = unpack 'CCN', $_[1];
                    heard($status, $failed);
                });
            },
        );
        go_on($from);
    };
}

# Sends the next 50, or ends.
sub go_on {
    my ($next) = @_;
    my $last = $pause && $again ? $next + 49 : $#notifications;
    $last = $#notifications if $last > $#notifications;
    notify($_) for $next .. $last;
    if ($last < $#notifications) {
        $timer = AnyEvent->timer(after => $pause / 1000, cb => sub { go_on($last + 1) });
    } elsif ($mode eq 'drain') {
        $handle->on_drain(sub { undef $_[0]; $finished->send });
    } else {
        $timer = AnyEvent->timer(after => 2, cb => $finished);
    }
}

begin(0);
$finished->recv;
print "sent\n";

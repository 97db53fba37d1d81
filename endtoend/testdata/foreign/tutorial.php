<?php
// A sender as PHP tutorials of the 2010s have it: enhanced frames on a TLS
// stream, and six bytes read back.
//
//   php tutorial.php HOST:PORT CERT CA MODE BAD < notifications
//
// BAD is how many error packets are to come: it is patient until they have.
// A notification is a line: a device token, a space, an alert. MODE is
//   resend  after an error packet everything behind the failed one goes again
//   end     the same, but the answer is read only when all has been written
//   never   nothing is ever read: write, close, done

[, $address, $certificate, $authority, $mode, $awaited] = $argv;

function connect($address, $certificate, $authority)
{
    $context = stream_context_create(['ssl' => [
        'local_cert' => $certificate,
        'cafile' => $authority,
        'peer_name' => 'gateway.push.apple.com',
    ]]);
    $stream = stream_socket_client("tls://$address", $code, $text, 60, STREAM_CLIENT_CONNECT, $context);
    if (!$stream) {
        fwrite(STDERR, "connect: $code $text\n");
        exit(1);
    }
    return $stream;
}

function frame($identifier, $token, $alert)
{
    $payload = json_encode(['aps' => ['alert' => $alert]]);
    return chr(1) . pack('N', $identifier) . pack('N', time() + 3600)
        . pack('n', 32) . pack('H*', $token) . pack('n', strlen($payload)) . $payload;
}

// The identifier of the failed notification, or null if the gateway is silent
// for the given time or ends the connection without a word.
function failed($stream, $seconds)
{
    $read = [$stream];
    $none = null;
    if (!stream_select($read, $none, $none, $seconds, 0)) {
        return null;
    }
    $answer = fread($stream, 6);
    if (strlen($answer) != 6) {
        return null;
    }
    $error = unpack('Ccommand/Cstatus/Nidentifier', $answer);
    echo "error $error[status] $error[identifier]\n";
    return $error['identifier'];
}

$notifications = [];
while ($line = fgets(STDIN)) {
    $notifications[] = explode(' ', rtrim($line), 2);
}

$stream = connect($address, $certificate, $authority);
$next = 0;
$told = 0;
while (true) {
    $bad = null;
    while ($next < count($notifications) && $bad === null) {
        fwrite($stream, frame($next, ...$notifications[$next]));
        $next++;
        if ($mode == 'resend') {
            $bad = failed($stream, 0);
        }
    }
    if ($mode == 'never') {
        break;
    }
    if ($bad === null) {
        $bad = failed($stream, $told < $awaited ? 120 : 5);
    }
    if ($bad === null) {
        break;
    }
    $told++;
    fclose($stream);
    $stream = connect($address, $certificate, $authority);
    $next = $bad + 1;
}
fclose($stream);
echo "sent\n";

# Clients that ask for a large response and hardly read it. In Perl, for Node cannot set what they need: the segment size of
# an Ethernet (TCP_MAXSEG), as users have. To a reader on loopback, with segments of 64 KB, the kernel takes up to 4 MB that
# nobody reads; a thousand of those are more than net.ipv4.tcp_mem, and then every connection of the machine crawls.
#
# perl slow_readers.pl HOST PORT PATH CLIENTS BYTES
#
# Each reads BYTES a second. Prints the milliseconds to each first byte as a JSON array when all have come; reads until its
# standard input ends, and then prints how many had lost their connection.
use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use IO::Handle;
use IO::Poll qw(POLLIN POLLHUP POLLERR);
use Socket qw(IPPROTO_TCP PF_INET SOCK_STREAM inet_aton sockaddr_in);
use Time::HiRes qw(time);

use constant { TCP_MAXSEG => 2, SEGMENT_BYTES => 1460 };

my ($host, $port, $path, $clients, $bytes) = @ARGV;
STDOUT->autoflush(1);
my $address = sockaddr_in($port, inet_aton($host));
my $started = time;
my $poll = IO::Poll->new;
my %waiting;
my @reading;
my @firstBytes;
my $lost = 0;

for (1 .. $clients) {
    socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "Cannot open socket: $!\n";
    setsockopt($socket, IPPROTO_TCP, TCP_MAXSEG, SEGMENT_BYTES) or die "Cannot set TCP_MAXSEG: $!\n";
    connect($socket, $address) or die "Cannot connect: $!\n";
    $socket->blocking(0);
    syswrite($socket, "GET $path HTTP/1.1\r\nHost: $host:$port\r\nConnection: close\r\n\r\n");
    $poll->mask($socket => POLLIN);
    $waiting{fileno $socket} = $socket;
}
$poll->mask(\*STDIN => POLLIN | POLLHUP);

for (my $next = time + 1;;) {
    my $wait = $next - time;
    $poll->poll($wait > 0 ? $wait : 0);
    last if $poll->events(\*STDIN) & (POLLIN | POLLHUP);
    for my $socket ($poll->handles(POLLIN | POLLHUP | POLLERR)) {
        my $read = sysread($socket, my $head, $bytes);
        die "answered \"" . ($head // '') . "\"\n" unless $read && $head =~ m{^HTTP/1\.1 200 };
        push @firstBytes, (time - $started) * 1000;
        $poll->remove($socket);
        delete $waiting{fileno $socket};
        push @reading, $socket;
        print '[', join(',', @firstBytes), "]\n" unless %waiting;
    }
    next if time < $next;
    $next += 1;
    @reading = grep {
        my $read = sysread($_, my $piece, $bytes);
        my $open = defined $read ? $read > 0 : $! == EAGAIN || $! == EINTR;
        $lost++ unless $open;
        $open;
    } @reading;
}
print "$lost\n";

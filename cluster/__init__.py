"""A cluster on one machine, to try it out and to test it: `make cluster`, `make cluster-call`, `make cluster-chaos`.

Every part listens on a loopback address of its own, as it would on a machine of its own:

    127.0.0.5             Kamailio, which takes the carrier's calls
    127.0.0.21, .22       the nodes, each an Asterisk with its engine
    127.0.0.31, .32       PostgreSQL: the primary and its synchronous standby

postgresql  the two servers: made, killed, promoted, and made a standby again
node        a node: its settings, its Asterisk and its engine
kamailio    Kamailio, with the configuration that we ship
running     all of them together
watch       starts again what has ended, as systemd and Patroni would
call        `make cluster-call`
"""

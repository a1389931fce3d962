"""RFC 4475, 3.1.1: valid messages that are hard to parse. The rented number replaces the RFC's callee."""

from tests.e2e.torture.case import SDP, Case, Fate, only
from tests.e2e.torture.longreq import LONGREQ

_WSINV = (
    b"""INVITE sip:<SERVICE>@<TARGET>;unknownparam SIP/2.0
TO :
 sip:<SERVICE>@<TARGET> ;   tag    = 1918181833n
from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.<ID>@192.0.2.1
Content-Length   : <LENGTH>
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /<TRANSPORT>
    <PEER>;rport;branch=z9hG4bK390skdjuw<ID>
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

"""
    + SDP
)

VALID = (
    Case("wsinv", "3.1.1.1", _WSINV, answers=only(481)),  # its To has a tag that belongs to no dialog
    Case("wsinv, a new call", "3.1.1.1", _WSINV.replace(b" ;   tag    = 1918181833n", b""), Fate.ROUTED),
    Case(
        "intmeth",
        "3.1.1.2",
        b"""!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"""
        b""":&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@<TARGET> SIP/2.0
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bK-.!%66*_+`'~<ID>
To: "BEL:\x07 NUL:\x00 DEL:\x7f" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%="""
        b""""\xd1\x80\xd0\xb0\xd0\xb1\xd0\xbe\xd1\x82\xd0\xb0\xd1\x8e\xd1\x89\xd0\xb8\xd0\xb9";tag=_token~1'+`*%!-.
Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/"][?}{<ID>
CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
Max-Forwards: 255
extensionHeader-!.%*+_`'~:\xef\xbb\xbf\xe5\xa4\xa7\xe5\x81\x9c\xe9\x9b\xbb
Content-Length: 0

""",
    ),
    Case(
        "esc01",
        "3.1.1.3",
        b"""INVITE sip:sips%3Auser%40example.com@<TARGET> SIP/2.0
To: sip:%75se%72@example.com
From: <sip:I%20have%20spaces@example.net>;tag=938
Max-Forwards: 87
i: esc01.239409asdfakjkn23onasd0-<ID>
CSeq: 234234 INVITE
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw<ID>
C: application/sdp
Contact: <sip:cal%6Cer@<PEER>;%6C%72;n%61me=v%61lue%25%34%31>
Content-Length: <LENGTH>

"""
        + SDP,
        answers=only(404),
    ),
    Case(
        "escnull",
        "3.1.1.4",
        b"""REGISTER sip:<TARGET> SIP/2.0
To: sip:null-%00-null@example.com
From: sip:null-%00-null@example.com;tag=839923423
Max-Forwards: 70
Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd<ID>
CSeq: 14398234 REGISTER
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw<ID>
Contact: <sip:%00@<PEER>>
Contact: <sip:%00%00@<PEER>>
L:0

""",
    ),
    Case(
        "esc02",
        "3.1.1.5",
        b"""RE%47IST%45R sip:<TARGET> SIP/2.0
To: "%Z%45" <sip:resource@example.com>
From: "%Z%45" <sip:resource@example.com>;tag=f232jadfj23
Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf<ID>
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bK209%fzsnel234<ID>
CSeq: 29344 RE%47IST%45R
Max-Forwards: 70
Contact: <sip:alias1@<PEER>>
C%6Fntact: <sip:alias2@<PEER>>
Contact: <sip:alias3@<PEER>>
l: 0

""",
    ),
    Case(
        "lwsdisp",
        "3.1.1.6",
        b"""OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0
To: sip:<SERVICE>@<TARGET>
From: caller<sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID: lwsdisp.1234abcd@funky.example.com<ID>
CSeq: 60 OPTIONS
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw<ID>
l: 0

""",
        answers=only(200, 404),
    ),
    Case("longreq", "3.1.1.7", LONGREQ, Fate.ROUTED),
    Case(
        "dblreq",
        "3.1.1.8",
        b"""REGISTER sip:<TARGET> SIP/2.0
To: sip:j.user@example.com
From: sip:j.user@example.com;tag=43251j3j324
Max-Forwards: 8
I: dblreq.0ha0isndaksdj99sdfafnl3lk233412<ID>
Contact: sip:j.user@<PEER>
CSeq: 8 REGISTER
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw23492<ID>
Content-Length: 0


INVITE sip:<SERVICE>@<TARGET> SIP/2.0
t: sip:<SERVICE>@<TARGET>
From: sip:j.user@example.com;tag=141334
Max-Forwards: 8
Call-ID: dblreq.0ha0isnda977644900765@192.0.2.15<ID>
CSeq: 8 INVITE
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw380234<ID>
Content-Type: application/sdp
Content-Length: 0

""",
    ),
    Case(
        "semiuri",
        "3.1.1.9",
        b"""OPTIONS sip:user;par=u%40example.net@<TARGET> SIP/2.0
To: sip:j_user@example.com
From: sip:caller@example.org;tag=33242
Max-Forwards: 3
Call-ID: semiuri.0ha0isndaksdj<ID>
CSeq: 8 OPTIONS
Accept: application/sdp, application/pkcs7-mime,
        multipart/mixed, multipart/signed,
        message/sip, message/sipfrag
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw<ID>
l: 0

""",
        answers=only(200, 404),
    ),
    Case(
        "transports",
        "3.1.1.10",
        b"""OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0
To: sip:<SERVICE>@<TARGET>
From: <sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID: transports.kijh4akdnaqjkwendsasfdj<ID>
Accept: application/sdp
CSeq: 60 OPTIONS
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw<ID>
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee
l: 0

""",
        answers=only(200, 404),
    ),
    Case(
        "mpart01",
        "3.1.1.11",
        b"""MESSAGE sip:<SERVICE>@<TARGET> SIP/2.0
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-<ID>
Max-Forwards: 70
Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD+813gvYjcBUaZngQ
Identity-Info: <https://localhost:1/example.cer>;alg=rsa-sha1
To: <sip:<SERVICE>@<TARGET>>
From: <sip:fluffy@example.com>;tag=2fb0dcc9
Call-ID: mpart01.3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..<ID>
CSeq: 1 MESSAGE
Content-Transfer-Encoding: binary
Content-Type: multipart/mixed;boundary=7a9cbec02ceef655
Date: Sat, 15 Oct 2005 04:44:56 GMT
User-Agent: SIPimp.org/0.2.5 (curses)
Content-Length: <LENGTH>

--7a9cbec02ceef655
Content-Type: text/plain
Content-Transfer-Encoding: binary

Hello
--7a9cbec02ceef655
Content-Type: application/octet-stream
Content-Transfer-Encoding: binary

0\x82\x01R\x06\t*\x86H\x86\xf7\x0d\x01\x07\x02\xa0\x82\x01C0\x82\x01?\x02\x01\x011\x090\x07\x06\x05+\x0e\x03\x02\x1a\x00\xff\xfe
--7a9cbec02ceef655--
""",
    ),
    # Both are responses without a request, which are dropped.
    Case(
        "unreason",
        "3.1.1.12",
        b"""SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe \xd1\x81\xd1\x82\xd0\xbe
Via: SIP/2.0/<TRANSPORT> <TARGET>;branch=z9hG4bK1324923<ID>
Call-ID: unreason.1234ksdfak3j2erwedfsASdf<ID>
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: <LENGTH>
Content-Type: application/sdp
Contact: <sip:user@<PEER>>

"""
        + SDP,
        answers=only(0),
    ),
    Case(
        "noreason",
        "3.1.1.13",
        b"""SIP/2.0 100\x20
Via: SIP/2.0/<TRANSPORT> <TARGET>;branch=z9hG4bK2398ndaoe<ID>
Call-ID: noreason.asndj203insdf99223ndf<ID>
CSeq: 35 INVITE
From: <sip:user@example.com>;tag=39ansfi3
To: <sip:user@example.edu>;tag=902jndnke3
Content-Length: 0
Contact: <sip:user@<PEER>>

""",
        answers=only(0),
    ),
)

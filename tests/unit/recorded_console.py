"""What Asterisk's console printed: Asterisk 22.10.1 with Debian's configuration files, and with our drop-in files."""

# ruff: noqa: W291, E501  the console prints white space at the end of lines, and long lines

CORE_SETTINGS = """
PBX Core settings
-----------------
  Version:                     22.10.1+dfsg+~cs6.17.60671434-1
  ABI related Build Options:   OPTIONAL_API, TEST_FRAMEWORK
  Maximum calls:               Not set
  Root console verbosity:      0
  Current console verbosity:   0
  Debug level:                 0
  Dump core on crash:          No
  Startup time:                07:44:41
  System:                      Linux/unknown built by nobody on unknown 2026-07-20 21:35:32 UTC
  System name:                 
  User name and group:         /
  Min DTMF duration::          80
  RTP dynamic payload types:   35-63,96-127

* Subsystems
  -------------
  Manager (AMI):               Enabled
  Call data records:           Enabled

* Directories
  -------------
  Configuration file:          @etc@/asterisk.conf
  Configuration directory:     @etc@
  Log directory:               /var/log/asterisk
  Run/Sockets directory:       /var/run/asterisk
  PID file:                    @pid@
"""
VERSION = (
    "Asterisk 22.10.1+dfsg+~cs6.17.60671434-1 built by nobody @ buildd.debian.org on a unknown running Linux on "
    "2026-07-20 21:35:32 UTC\n"
)
MODULES = """Module                         Description                              Use Count  Status      Support Level
app_cdr.so                     Tell Asterisk to not maintain a CDR for  0          Running              core
cdr                            CDR Engine                               12         Running              core
cdr_csv.so                     Comma Separated Values CDR Backend       0          Running          extended
cdr_custom.so                  Customizable Comma Separated Values CDR  0          Not Running          core
res_hep_pjsip.so               PJSIP HEPv3 Logger                       0          Not Running      extended
res_pjsip_endpoint_identifier_ip.so PJSIP IP endpoint identifier             0          Running              core
res_pjsip_messaging.so         PJSIP Messaging Support                  0          Running              core
7 modules loaded
"""
CDR_STATUS = """
Call Detail Record (CDR) settings
----------------------------------
  Logging:                    Enabled
  Mode:                       Simple
  Log calls by default:       Yes
  Log unanswered calls:       No
  Log congestion:             No

  Ignore bridging changes:    No

  Ignore dial state changes:  No

  Cancel disposition enabled: No

* Registered Backends
  -------------------
    Adaptive ODBC
    CDR File custom bac
    cdr_manager (suspended) 
    csv

"""
CDR_WITHOUT_BACKENDS = CDR_STATUS.partition("    Adaptive")[0] + "    (none)\n\n"
CDR_OFF = """
Call Detail Record (CDR) settings
----------------------------------
  Logging:                    Disabled
  Mode:                       Simple

* Registered Backends
  -------------------
    csv

"""
CEL_STATUS = """CEL Logging: Enabled
CEL Tracking Event: CHAN_START
CEL Tracking Application: dial
CEL Event Subscriber: ODBC CEL backend
CEL Event Subscriber: CEL PGSQL backend
CEL Event Subscriber: Manager Event Logging
"""
CEL_OFF = "CEL Logging: Disabled\n"
LOG_CHANNELS = """Logger queue limit: 1000

Channel                             Type     Formatter  Status    Configuration
-------                             ----     ---------  ------    -------------
syslog.local0                       Syslog   default    Enabled    - DEBUG DTMF 
/var/log/asterisk/fail2ban          File     default    Enabled    - NOTICE SECURITY 
/var/log/asterisk/messages.json     File     json       Enabled    - NOTICE WARNING VERBOSE 
/var/log/asterisk/messages.log      File     default    Enabled    - NOTICE WARNING ERROR 
                                    Console  default    Enabled    - NOTICE WARNING ERROR VERBOSE 

"""
QUIET_CHANNELS = """Logger queue limit: 1000

Channel                             Type     Formatter  Status    Configuration
-------                             ----     ---------  ------    -------------
/var/log/asterisk/messages.log      File     default    Enabled    - NOTICE ERROR 
                                    Console  default    Enabled    - ERROR VERBOSE 

"""
TRANSPORTS = """
Transport:  <TransportId........>  <Type>  <cos>  <tos>  <BindAddress....................>
==========================================================================================

Transport:  transport-udp             udp      0      0  127.0.0.1:25060
Transport:  tls                       tls      3     96  127.0.0.1:25061

Objects found: 2

"""
NO_TRANSPORTS = "No objects found.\n\n"
TRANSPORT = """
Transport:  <TransportId........>  <Type>  <cos>  <tos>  <BindAddress....................>
==========================================================================================

Transport:  tls                       tls      3     96  127.0.0.1:25061

 ParameterName               : ParameterValue
 =============================================
 protocol                    : tls
 verify_client               : No
 verify_server               : @verify@

"""
PJSIP_SETTINGS = """
Global Settings:

 ParameterName                              : ParameterValue
 =========================================================================================
 contact_expiration_check_interval          : 30
 debug                                      : @debug@
 default_voicemail_extension                : 
 user_agent                                 : Asterisk PBX 22.10.1+dfsg+~cs6.17.60671434-1
"""
HISTORY_HEAD = """No.   Timestamp  (Dir) Address                  SIP Message                        
===== ========== ============================== ===================================
"""
HISTORY = HISTORY_HEAD + "00000 1795938335 * <== 127.0.0.1:25099          OPTIONS sip:x@127.0.0.1 SIP/2.0\n"
# With one match the console prints the message itself.
HISTORY_ENTRY = (
    "<--- History Entry 0 Received from 127.0.0.1:25099 at 1795938335 --->\nOPTIONS sip:x@127.0.0.1 SIP/2.0\n\n\n"
)
ENDPOINT = """
 Endpoint:  <Endpoint/CID.....................................>  <State.....>  <Channels.>
==========================================================================================

 Endpoint:  @name@                                                Not in use    0 of inf


 ParameterName                      : ParameterValue
 ===================================================================================================
 100rel                             : yes
 allow                              : (ulaw|alaw)
 allow_transfer                     : false
 callerid                           : <unknown>
 context                            : @context@
 direct_media                       : @direct_media@
 max_video_streams                  : 0
 redirect_method                    : user
 send_connected_line                : no
 send_diversion                     : false
 send_history_info                  : false
 send_pai                           : false
 send_rpid                          : false
 t38_udptl                          : false
 trust_connected_line               : no
 trust_id_inbound                   : false

"""
NO_ENDPOINT = "Unable to find object carrier.\n\n"
DIALPLAN = """[ Context '@context@' created by 'pbx_config' ]
  's' =>            1. Return()                                   [extensions_rented_numbers.conf:1]

-= 1 extension (1 priority) in 1 context. =-
"""
NO_DIALPLAN = "There is no existence of 'rented-numbers' context\nCommand 'dialplan show rented-numbers' failed.\n"
MANAGER_USER = """
          username: rented-numbers
            secret: <Set>
               ACL: yes
         read perm: user
        write perm: @write@
   displayconnects: yes
allowmultiplelogin: yes
         Variables: 
ACL: (unnamed)
---------------------------------------------
  0:  deny - 0.0.0.0/0.0.0.0
  1: allow - 127.0.0.1/255.255.255.255
"""
NO_MANAGER_USER = "There is no manager called rented-numbers\n"
REGISTRATIONS = """
 <Registration/ServerURI..............................>  <Auth....................>  <Status.......>
==========================================================================================

 trunk-main/sip:sbc.carrier.example:5060                 trunk-main                  @state@        (exp. 2s)
 trunk-second/sip:198.51.100.7                           trunk-second                Registered        (exp. 48s)

Objects found: 2

"""
CONTACTS = """
  Contact:  <Aor/ContactUri..............................> <Hash....> <Status> <RTT(ms)..>
==========================================================================================

  Contact:  trunk-main/sip:sbc.carrier.example:5060        0ae954b673 @status@        -nan
  Contact:  trunk-second/sip:198.51.100.7                  86bc7d3222 NonQual        -nan

Objects found: 2

"""

FEATURES = """Builtin Feature           Default Current
---------------           ------- -------
Pickup                    *8      *8
Blind Transfer            #       #
Disconnect Call           *       *

Dynamic Feature           Default Current
---------------           ------- -------
rented-numbers-beep-callee no def  C
rented-numbers-beep-caller no def  D
"""

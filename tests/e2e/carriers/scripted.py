"""A scripted carrier: a registrar, a proxy and the telephones behind it, at one address, that ask for credentials."""

from collections.abc import Callable, Mapping

from phones.messages import Message
from phones.peer import Account, Address, Body, Dialog, Media, Packet, Peer, Play, Reply, Stage, sdp, uri_of, user_of


class ScriptedCarrier:
    """A carrier.

    Attributes:
        contacts: The address of each registered user, with its expiry in seconds.
        registers: Every REGISTER that arrived.
        grants: For how many seconds a registration is accepted; Asterisk renews it 10 seconds before that.
        account_of: Returns the account that a call to a number has to prove; None for none.
        play: What is done with a call, once it has proved itself.
        describe: Writes the session description with which it answers.
        on_register: Chooses the reply to a REGISTER; by default it is accepted when it proves its account.
        calls: The calls that came, by the dialled number.
    """

    def __init__(
        self, stage: Stage, local: Address, accounts: Mapping[str, Account], account_of: Callable[[str], Account | None]
    ) -> None:
        self.contacts: dict[str, tuple[str, int]] = {}
        self.registers: list[Message] = []
        self.grants = 12
        self.account_of = account_of
        self.play: Play = self._answer
        self.describe: Callable[[Address], Body] = sdp
        self.on_register: Callable[[Message], Reply | None] = self.accept
        self.calls: dict[str, Dialog] = {}
        self.answers_options = True
        self._accounts = accounts
        self._stage = stage
        self._sound: list[Media] = []
        self.peer = stage.run(Peer.open(*local, self._call, tcp=True))
        self.peer.outside = self._outside

    def close(self) -> None:
        for media in self._sound:
            self._stage.run(_close(media))
        self._stage.run(self.peer.close())

    def _outside(self, packet: Packet) -> Reply | None:
        if packet.message.method == "OPTIONS":
            return Reply(200) if self.answers_options else None
        if packet.message.method != "REGISTER":
            return None
        self.registers.append(packet.message)
        return self.on_register(packet.message)

    def accept(self, request: Message) -> Reply:
        """Accepts a registration that proves its account, and challenges any other."""
        user = user_of(uri_of(request.header("To"))).replace("%40", "@")
        account = self._accounts[user]
        if not account.accepts(request):
            return Reply(account.status, headers=(account.challenge(stale=account.is_stale(request)),))
        contact, expires = request.header("Contact"), min(self.grants, int(request.header("Expires")))
        if expires:
            self.contacts[user] = uri_of(contact), expires
        else:
            self.contacts.pop(user, None)
        return Reply(200, headers=(f"Contact: <{uri_of(contact)}>;expires={expires}",))

    async def _call(self, dialog: Dialog) -> None:
        assert dialog.invite is not None
        number = user_of(dialog.invite.start_line.split()[1])
        self.calls[number] = dialog
        account = self.account_of(number)
        if account is None or await self._proves(dialog, account):
            await self.play(dialog)

    @staticmethod
    async def _proves(dialog: Dialog, account: Account) -> bool:
        """Challenges a call until it has the right credentials. Returns False if the other side gives up."""
        assert dialog.invite is not None
        polite, dialog.policy = dialog.policy, lambda _, request: Reply(200) if request.method != "INVITE" else None
        while not account.accepts(dialog.invite):
            number = int(dialog.invite.header("CSeq").split()[0])
            dialog.answer(Reply(account.status, headers=(account.challenge(stale=account.is_stale(dialog.invite)),)))
            try:
                dialog.invite = await dialog.until(
                    lambda each, number=number: (
                        each.status is None  # type: ignore[misc]
                        and each.method == "INVITE"
                        and int(each.header("CSeq").split()[0]) > number
                    )
                )
            except TimeoutError:
                return False
        dialog.policy = polite
        return True

    async def _answer(self, dialog: Dialog) -> None:
        media = Media.open(dialog.wire.local[0])
        self._sound.append(media)
        dialog.sound = self.describe(media.local)
        dialog.answer(Reply(180))
        dialog.answer(Reply(200, body=dialog.sound))


async def _close(media: Media) -> None:
    media.close()

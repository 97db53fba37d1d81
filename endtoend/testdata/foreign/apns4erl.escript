%% Sends notifications as apns4erl 1.0 does: one process that writes what is cast to it,
%% and is sent what comes from the socket between two of these.
%%
%%   escript apns4erl.escript HOST:PORT CERT CA MODE PAUSE < notifications
%%
%% CERT has the key too, PAUSE is the milliseconds behind every 50 notifications. A
%% notification is a line: a device token, a space, an alert.
%% MODE is
%%   again  what stands behind an error response is cast to the process once more: into
%%          the old socket, until its end has been seen
%%   never  an error response is reported, and that is all; without a pause, in which the
%%          socket could end
%% It prints a line for each error response: error, the status, the device token.
%% It exits with 77 where an application is missing.

-define(PATIENCE, 2000).
-define(KEPT, 1000).

-record(state, {open, again, all, socket, kept = queue:new(), patience = infinity}).

main([Address, Certificate, Authority, Mode, Pause]) ->
    case application:ensure_all_started(ssl) of
        {ok, _} -> ok;
        {error, Missing} -> io:format("~p~n", [Missing]), halt(77)
    end,
    [Host, Port] = string:split(Address, ":"),
    Options = [{certfile, Certificate}, {keyfile, Certificate}, {cacertfile, Authority}, {verify, verify_peer},
               {server_name_indication, "gateway.push.apple.com"}, {mode, binary}, {log_level, error}],
    Open = fun() ->
        {ok, Socket} = ssl:connect(Host, list_to_integer(Port), Options, 30000),
        Socket
    end,
    All = read(1),
    Self = self(),
    spawn_link(fun() -> give(Self, All, case Mode of "again" -> list_to_integer(Pause); "never" -> 0 end) end),
    loop(#state{open = Open, again = Mode =:= "again", all = list_to_tuple(All), socket = Open()}),
    io:put_chars("sent\n").

read(Id) ->
    case io:get_line("") of
        eof -> [];
        Line ->
            [Token, Alert] = string:split(string:trim(Line), " "),
            [{Id, Token, Alert} | read(Id + 1)]
    end.

%% The library's caller.
give(To, [], _) -> To ! given;
give(To, [Message = {Id, _, _} | Rest], Pause) ->
    To ! {cast, Message},
    [timer:sleep(Pause) || Pause > 0, Id rem 50 =:= 0],
    give(To, Rest, Pause).

loop(State = #state{socket = Socket}) ->
    receive
        {cast, Message} when Socket =:= undefined ->
            write(Message, State#state{socket = (State#state.open)()});
        {cast, Message} ->
            write(Message, State);
        {ssl, Socket, <<8, Status, Id:32>>} ->
            loop(fail(Status, Id, State));
        {ssl_closed, Socket} ->
            loop(State#state{socket = undefined});
        {ssl_closed, _} ->
            loop(State);
        {ssl_error, _, Reason} ->
            io:format("ended: ~p~n", [Reason]),
            loop(State);
        given ->
            loop(State#state{patience = ?PATIENCE})
    after State#state.patience -> ok
    end.

%% Where the socket has ended the library stops, and is started again by its supervisor
%% for the next caller, who knows what the old socket had said. That is needed: Erlang's TLS
%% answers a close_notify with its own, writes what is sent in this moment behind that, where
%% nothing may be read any more, and says ok.
write(Message, State = #state{socket = Socket}) ->
    case ssl:send(Socket, frame(Message)) of
        ok ->
            Kept = queue:in(Message, State#state.kept),
            loop(State#state{kept = case queue:len(Kept) > ?KEPT of true -> queue:drop(Kept); false -> Kept end});
        {error, Reason} ->
            io:format("write: ~p~n", [Reason]),
            Known = State#state{socket = undefined, kept = queue:in(Message, State#state.kept)},
            receive
                {ssl, Socket, <<8, Status, Id:32>>} ->
                    [self() ! {cast, Message} || not State#state.again],
                    loop(fail(Status, Id, Known))
            after 0 ->
                write(Message, State#state{socket = (State#state.open)()})
            end
    end.

fail(Status, Id, State) ->
    {_, Token, _} = element(Id, State#state.all),
    io:format("error ~b ~s~n", [Status, Token]),
    [self() ! {cast, Message} || State#state.again, Message <- behind(Id, queue:to_list(State#state.kept))],
    State#state{kept = queue:new()}.

%% The library stops where it does not have the failed one any more.
behind(Id, Kept) ->
    case lists:dropwhile(fun({I, _, _}) -> I =/= Id end, Kept) of
        [_Failed | Behind] -> Behind;
        [] -> []
    end.

frame({Id, Token, Alert}) ->
    Expiry = os:system_time(second) + 3600,
    Items = [item(1, <<(list_to_integer(Token, 16)):256>>),
             item(2, ["{\"aps\":{\"alert\":\"", Alert, "\"}}"]), item(3, <<Id:32>>), item(4, <<Expiry:32>>), item(5, <<10>>)],
    [<<2, (iolist_size(Items)):32>> | Items].

item(Id, Data) -> [<<Id, (iolist_size(Data)):16>>, Data].

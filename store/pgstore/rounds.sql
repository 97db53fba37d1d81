-- Version 3. A write that its node has given up can reach the server late, after others
-- that came in its stead. So the writes of an epoch are counted in rounds: one without an
-- answer ends a round, and from the first write of the next one on it is refused.
alter table app add column round bigint not null default 0;

create function first_round() returns trigger language plpgsql as $$
begin
  new.round := 0;
  return new;
end $$;
create trigger first_round before update of epoch on app for each row execute function first_round();

-- As the fence without a round, which stays for nodes that still run an older program.
create function fence(what text, who text, e bigint, r bigint) returns void language plpgsql as $$
begin
  for i in 1..2 loop -- twice: another write of the round may become its first meanwhile
    perform from app where name = what and node = who and epoch = e and round = r for share;
    if found then
      return;
    end if;
    -- The first write of a round waits for those of earlier ones that are past their
    -- fences, and its next statements see what they have committed.
    update app set round = r where name = what and node = who and epoch = e and round < r;
    if found then
      return;
    end if;
  end loop;
  if exists (select from app where name = what and node = who and epoch = e) then
    raise exception 'app %: a write of round % comes late', what, r using errcode = 'AP002';
  end if;
  raise exception 'app % is not of node % in epoch %', what, who, e using errcode = 'AP001';
end $$;

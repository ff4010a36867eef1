document.querySelectorAll('figure>input[type=range]').forEach(r=>r.addEventListener('input',
()=>r.parentElement.querySelector('.after').style.setProperty('--cut',r.value+'%')));
const unfold=()=>{const found=document.getElementById(location.hash.slice(1));
if(found&&found.tagName==='DETAILS'){found.open=true;found.scrollIntoView();}};
addEventListener('hashchange',unfold);unfold();
addEventListener('beforeprint',()=>document.querySelectorAll('details').forEach(d=>{d.open=true;}));
